// A file system that is really full (fault F6); runs where IMD_SMALL_DISK names a folder on one of a few MiB.
import Foundation
import Testing

@testable import Store

private let smallDisk = ProcessInfo.processInfo.environment["IMD_SMALL_DISK"]

@Suite(.enabled(if: smallDisk != nil)) struct FullDiskTests {
    @Test func `the store lives through a full file system`() async throws {
        let folder = try #require(smallDisk) + "/store"
        let ballast = try #require(smallDisk) + "/ballast"
        defer {
            try? FileManager.default.removeItem(atPath: folder)
            try? FileManager.default.removeItem(atPath: ballast)
        }
        let store = try Store.open(at: folder + "/imd.db")
        try Data(count: 1 << 20).write(to: URL(fileURLWithPath: ballast))
        var stored: [Int64] = []
        var failures = 0
        for number in 0..<2000 where failures < 5 {
            do {
                try await append(Int64(number), to: store)
                stored.append(Int64(number))
            } catch {
                #expect(error as? StoreError == .full)
                failures += 1
            }
        }
        #expect(failures == 5, "the file system is too large")
        try await #expect(store.read { try $0.events(after: 0, limit: 9999).map(\.at) } == stored)
        try FileManager.default.removeItem(atPath: ballast)
        try await append(7777, to: store)
        try store.close()
        let again = try Store.open(at: folder + "/imd.db")
        defer { try? again.close() }
        try await #expect(again.read { try $0.events(after: 0, limit: 9999).map(\.at) } == stored + [7777])
    }

    private func append(_ number: Int64, to store: Store) async throws {
        _ = try await store.write { tx in
            try tx.appendEvent(
                type: "error", account: nil, chat: nil, message: nil,
                detail: String(repeating: "x", count: 20_000), at: number)
        }
    }
}
