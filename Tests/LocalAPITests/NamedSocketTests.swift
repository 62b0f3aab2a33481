// Another socket than the usual one: how it is named, and that imctl goes there or nowhere.

import Foundation
import LocalAPI
import Testing

struct NamedSocketTests {
    @Test func `a variable names another socket, in full and nothing else`() throws {
        let place = try SocketPath(socket: "/run/user/7/imd/alert.sock")
        #expect(place.directory == "/run/user/7/imd" && place.path == "/run/user/7/imd/alert.sock")
        #expect(try SocketPath(runtimeDirectory: "/run/user/7", name: "alert") == place)
        #expect(try SocketPath(runtimeDirectory: "/run/user/7").named("alert") == place)
        let wrong = [
            "", "alert.sock", "./alert.sock", "/", "/alert.sock", "/run/", "/run/..", "/run/.",
            "/" + String(repeating: "x", count: 60) + "/" + String(repeating: "y", count: 60),
        ]
        for path in wrong {
            let error = #expect(throws: UserError.self, "\(path)") { try SocketPath(socket: path) }
            #expect(error?.code == .configuration)
        }
    }

    @Test func `imctl uses the socket that is named, and no other`() throws {
        let daemon = try FakeDaemon()
        let place = try daemon.place.named("alert")
        let listener = try listen(on: place.path)
        defer { close(listener) }
        let imctl = try Imctl(
            ["consumer", "remove", "--yes", "c"], daemon, environment: ["IMD_SOCKET": place.path])
        var descriptor = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        try #require(poll(&descriptor, 1, 20_000) == 1)
        let peer = Peer(Glibc.accept(listener, nil, nil))
        try peer.answer(ConsumerRemove.self, Empty())
        #expect(imctl.status() == 0)
        for (path, status): (String, Int32) in [
            (daemon.folder + "/imd/gone.sock", 69), ("alert.sock", 78),
            (daemon.folder + "/open/alert.sock", 77),
        ] {
            mkdir(daemon.folder + "/open", 0o700)
            chmod(daemon.folder + "/open", 0o755)
            let imctl = try Imctl(
                ["consumer", "remove", "--yes", "c"], daemon, environment: ["IMD_SOCKET": path])
            #expect(imctl.status() == status, "\(path)")
            #expect(imctl.diagnosed.contains("hint: "), "\(imctl.diagnosed)")
        }
    }
}
