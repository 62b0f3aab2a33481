// The event log and its consumers.
import Foundation
import Testing
import XMPP

@testable import Store

@Suite struct EventTests {
    @discardableResult
    private func append(_ tx: Transaction, _ account: Int64?, type: String = "presence", chat: String? = nil)
        throws
        -> Int64
    {
        try tx.appendEvent(
            type: type, account: account, chat: try chat.map { try JID($0) }, message: nil, detail: nil, at: 5
        )
    }

    @Test func `numbers only grow, also after deletion and a restart`() async throws {
        let test = try await TestStore()
        let last = try await test.write { tx, account in
            for _ in 0..<4 { try append(tx, account) }
            return try append(tx, account)
        }
        try await test.write { tx, account in _ = try tx.removeAccount(account) }
        try await #expect(test.read { tx, _ in try tx.events(after: 0, limit: 9).isEmpty })
        let again = try test.reopen()
        defer { try? again.close() }
        try await #expect(again.read { try $0.lastEventNumber() } == last)
        try await #expect(again.write { try append($0, nil) } == last + 1)
    }

    @Test func `an event carries its message as it is now`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let message = try tx.insertOutgoing(outgoing(account))
            try tx.appendEvent(
                type: "message", account: account, chat: message.chat, message: message.id,
                detail: "{\"a\":1}",
                at: 7)
            try tx.setState(message.id, .server, now: 8)
        }
        let event = try #require(try await test.read { tx, _ in try tx.events(after: 0, limit: 1).first })
        #expect(event.type == "message" && event.detail == "{\"a\":1}" && event.at == 7)
        #expect(event.message?.body == "hello" && event.message?.state == .server)
        #expect(event.chat?.description == juliet)
    }

    @Test func `filters are by type, account and chat`() async throws {
        let test = try await TestStore()
        let other = try await test.store.write { tx in
            let other = try tx.addAccount(newAccount("romeo@example.org"))
            for account in [test.account, other] {
                for chat in [juliet, "nurse@example.com"] {
                    for type in ["message", "state", "presence"] {
                        try append(tx, account, type: type, chat: chat)
                    }
                }
            }
            return other
        }
        let chat = try JID(juliet)
        try await test.store.read { tx in
            func count(_ types: [String]?, _ account: Int64?, _ chat: JID?) throws -> Int {
                try tx.events(after: 0, types: types, account: account, chat: chat, limit: 99).count
            }
            try #expect(count(nil, nil, nil) == 12)
            try #expect(count(["state"], nil, nil) == 4)
            try #expect(count(["state", "message"], other, nil) == 4)
            try #expect(count(nil, other, chat) == 3)
            try #expect(count(["state"], other, chat) == 1)
            try #expect(count(nil, nil, chat) == 6)
            try #expect(count([], nil, nil) == 0)
            try #expect(count(["\"]') OR 1=1 --", "\u{1}\\"], nil, nil) == 0)
        }
        let page = try await test.store.read { try $0.events(after: 3, limit: 2).map(\.number) }
        #expect(page == [4, 5])
    }

    @Test func `an acknowledgement never goes back and never ahead of the log`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            for _ in 0..<10 { try append(tx, account) }
            try tx.createConsumer("bot", at: 2, filter: "{}", now: 1)
            try #expect(tx.acknowledge(consumer: "bot", number: 7) == 7)
            try #expect(tx.acknowledge(consumer: "bot", number: 3) == 7)
            try #expect(tx.acknowledge(consumer: "bot", number: 1000) == 10)
            try append(tx, account)
            try #expect(tx.consumer("bot")?.pending == 1)
            try #expect(tx.acknowledge(consumer: "nobody", number: 1) == nil)
        }
    }

    @Test func `consumers are listed, unique and removable`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            for _ in 0..<3 { try append(tx, account) }
            try tx.createConsumer("b", at: 1, now: 1)
            try tx.createConsumer("a", at: 3, now: 2)
        }
        try await #expect(test.read { tx, _ in try tx.consumers().map(\.name) } == ["a", "b"])
        try await #expect(test.read { tx, _ in try tx.consumers().map(\.pending) } == [0, 2])
        await #expect(throws: StoreError.self) {
            try await test.write { tx, _ in try tx.createConsumer("a", at: 0, now: 3) }
        }
        try await #expect(test.write { tx, _ in try tx.removeConsumer("a") })
        try await #expect(test.write { tx, _ in try tx.removeConsumer("a") } == false)
    }
}
