// The API as declared is the API that answers.
import LocalAPI
import Testing

@testable import imd

struct DispatcherTests {
    @Test func `every declared method has a handler`() async throws {
        let party = try await Party("alice@example.org")
        var dispatcher = Dispatcher(log: .init(label: "test"))
        let accounts = Accounts(
            store: party.store, group: .singletonMultiThreadedEventLoopGroup, config: Config(),
            log: .init(label: "test"))
        let paths = try Paths(environment: ["HOME": "/home/a", "XDG_RUNTIME_DIR": "/run/a"])
        let hooks = Hooks(
            store: party.store, feed: EventFeed(), folder: party.folder, overrides: [:], environment: [:],
            log: .init(label: "test"))
        Handlers(
            accounts: accounts, store: party.store, feed: EventFeed(), hooks: hooks, paths: paths,
            startedAt: 0
        )
        .register(in: &dispatcher)
        #expect(dispatcher.methods == Set(allMethods.map { $0.name }))
    }
}
