// The limited sockets that the configuration file has, also after it was read again.
import LocalAPI
import Logging
import ServiceLifecycle

struct LimitedSockets: Service {
    private let server: @Sendable (Access) throws -> APIServer
    private let log: Logger
    private let changes: AsyncStream<[Access]>
    private let change: AsyncStream<[Access]>.Continuation

    private struct Open {
        var access: Access
        let serving: Serving
    }

    /// - Parameter server: what serves a socket.
    init(_ access: [Access], log: Logger, server: @escaping @Sendable (Access) throws -> APIServer) {
        self.server = server
        self.log = log
        (changes, change) = AsyncStream<[Access]>.makeStream()
        change.yield(access)
    }

    /// Sockets come and go as there are tables; of one whose table has changed, the clients have to connect again.
    func configure(_ access: [Access]) { change.yield(access) }

    /// Serves until the daemon shuts down. Only at the beginning a socket that cannot be opened is an error.
    func run() async throws {
        try await withThrowingDiscardingTaskGroup { tasks in
            var sockets: [String: Open] = [:]
            var isBeginning = true
            for await wanted in changes.cancelOnGracefulShutdown() {
                drop(from: &sockets, wanted)
                limit(&sockets, wanted)
                for access in wanted where sockets[access.name] == nil {
                    do {
                        let serving = try await server(access).open()
                        sockets[access.name] = Open(access: access, serving: serving)
                        tasks.addTask { try await serving.run() }
                    } catch {
                        guard !isBeginning else { throw error }
                        report(error, access)
                    }
                }
                isBeginning = false
            }
        }
    }

    private func report(_ error: any Error, _ access: Access) {
        let error = error as? UserError ?? UserError(.internalError, "\(error)")
        log.error(
            "a limited socket cannot be opened",
            metadata: [
                "access": "\(access.name)", "error": "\(error.message)", "hint": "\(error.hint ?? "-")",
            ])
    }

    /// Nothing is allowed of those without a table, and they are closed, except where the service manager keeps them
    /// open: clients would wait in them for nobody.
    private func drop(from sockets: inout [String: Open], _ wanted: [Access]) {
        for (name, socket) in sockets where !wanted.contains(where: { $0.name == name }) {
            let nothing = Access(name: name)
            guard socket.access != nothing else { continue }
            socket.serving.limit(to: nothing)
            if socket.serving.isInherited {
                sockets[name]?.access = nothing
                log.warning(
                    "a socket of the service manager allows nothing any more",
                    metadata: [
                        "access": "\(name)", "hint": "disable its socket unit, or imd will not start again",
                    ])
            } else {
                socket.serving.close()
                sockets[name] = nil
                log.info("closed a limited socket", metadata: ["access": "\(name)"])
            }
        }
    }

    private func limit(_ sockets: inout [String: Open], _ wanted: [Access]) {
        for access in wanted {
            guard let open = sockets[access.name], open.access != access else { continue }
            open.serving.limit(to: access)
            sockets[access.name]?.access = access
            log.info("changed a limited socket", metadata: ["access": "\(access.name)"])
        }
    }
}
