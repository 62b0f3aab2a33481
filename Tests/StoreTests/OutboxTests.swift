// From accepted to displayed: states, the outbox, and the events of each step.
import Foundation
import Testing
import XMPP

@testable import Store

@Suite struct OutboxTests {
    private static let order: [MessageState] = [.queued, .sent, .server, .delivered, .displayed]

    @Test func `states only move forward`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            for from in Self.order {
                for to in Self.order {
                    let message = try tx.insertOutgoing(outgoing(account))
                    try tx.setState(message.id, from, now: 1)
                    try #expect(tx.setState(message.id, to, now: 2) == (from < to), "\(from) to \(to)")
                    try #expect(tx.message(row: message.id)?.state == max(from, to))
                }
            }
        }
    }

    @Test func `a message fails until a device of the contact has it, and then stays failed`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            for from in Self.order {
                let message = try tx.insertOutgoing(outgoing(account))
                try tx.setState(message.id, from, now: 1)
                try #expect(tx.setState(message.id, .failed, reason: "gone", now: 2) == (from <= .server))
                guard from <= .server else { continue }
                for to in Self.order { try #expect(!tx.setState(message.id, to, now: 3)) }
                try #expect(tx.message(row: message.id)?.reason == "gone")
            }
        }
    }

    @Test func `an incoming message has no delivery state`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let message = try #require(try tx.insertIncoming(incoming(account)))
            for state in MessageState.allCases { try #expect(!tx.setState(message.id, state, now: 1)) }
        }
    }

    @Test func `every step is an event in the API's words`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let first = try tx.insertOutgoing(outgoing(account, id: "a"))
            let second = try tx.insertOutgoing(outgoing(account, id: "b", clientID: "job \"7\""))
            try tx.setState(first.id, .sent, now: 5)
            try tx.setState(second.id, .failed, reason: "no-trusted-device", now: 6)
        }
        let events = try await test.read { tx, _ in try tx.events(after: 0, limit: 9) }
        #expect(events.map(\.type) == ["state", "state"])
        #expect(events.map(\.at) == [5, 6])
        #expect(
            events.map(\.detail) == [
                #"{"chat":"juliet@example.com","id":"a","state":"sent"}"#,
                #"{"chat":"juliet@example.com","id":"job \"7\"","state":"failed","reason":"no-trusted-device"}"#,
            ])
    }

    @Test func `the outbox keeps order and gives no place twice`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            for number in 1...3 {
                let place = try tx.enqueue(account: account, stanza: [UInt8(number)], message: nil, now: 1)
                #expect(place == Int64(number))
            }
            try #expect(tx.outbox(account: account, limit: 9).map(\.stanza) == [[1], [2], [3]])
            try #expect(tx.outbox(account: account, after: 1, limit: 1).map(\.stanza) == [[2]])
            _ = try tx.takeOutbox(account: account, after: 0, limit: 9, now: 2)
            try tx.acknowledge(account: account, through: 3, now: 2)
            try #expect(tx.outbox(account: account, limit: 9).isEmpty)
            try #expect(tx.enqueue(account: account, stanza: [], message: nil, now: 3) == 4)
        }
    }

    @Test func `an acknowledgement moves many messages on at once, with an event each`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            var rows: [Int64] = []
            for number in 0..<50 {
                let message = try tx.insertOutgoing(outgoing(account, id: "m\(number)"))
                rows.append(message.id)
                try tx.enqueue(account: account, stanza: [1], message: message.id, now: 1)
            }
            try tx.enqueue(account: account, stanza: [2], message: nil, now: 1)
            _ = try tx.takeOutbox(account: account, after: 0, limit: 99, now: 2)
            // A receipt may be faster than the server's acknowledgement; then it must not go out again.
            try #expect(
                tx.markDelivered(account: account, chat: JID(juliet), messageID: "m7", now: 2) == rows[7])
            try tx.resetPositions(account: account)
            let again = try tx.takeOutbox(account: account, after: 0, limit: 99, now: 2)
            #expect(again.entries.count == 50)
            #expect(!again.entries.contains { $0.message == rows[7] })
            let last = try tx.lastEventNumber()
            let moved = try tx.acknowledge(account: account, through: 48, now: 3)
            #expect(moved == rows.dropLast().filter { $0 != rows[7] })
            let events = try tx.events(after: last, limit: 99)
            #expect(events.map { $0.message?.id } == moved.map { $0 })
            #expect(
                events.allSatisfy { $0.type == "state" && $0.detail?.contains(#""state":"server""#) == true })
            try #expect(tx.message(row: rows[7])?.state == .delivered)
            try #expect(tx.outbox(account: account, limit: 99).map(\.message) == [rows[49], nil])
            try #expect(tx.acknowledge(account: account, through: 48, now: 4).isEmpty)
        }
    }

    @Test func `one account cannot acknowledge another's stanzas`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let other = try tx.addAccount(newAccount("romeo@example.org"))
            let message = try tx.insertOutgoing(outgoing(account))
            try tx.enqueue(account: account, stanza: [1], message: message.id, now: 1)
            _ = try tx.takeOutbox(account: account, after: 0, limit: 9, now: 2)
            try #expect(tx.takeOutbox(account: other, after: 0, limit: 9, now: 2).entries.isEmpty)
            try tx.resetPositions(account: other)
            try #expect(tx.acknowledge(account: other, through: 9, now: 2).isEmpty)
            try #expect(tx.outbox(account: account, limit: 9).map(\.position) == [1])
        }
    }

    @Test func `receipts count only from the chat the message went to`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let message = try tx.insertOutgoing(outgoing(account, id: "a"))
            _ = try tx.insertIncoming(incoming(account, id: "in"))
            let nurse = try JID("nurse@example.com")
            let chat = try JID(juliet)
            try #expect(tx.markDelivered(account: account, chat: nurse, messageID: "a", now: 1) == nil)
            try #expect(tx.markDelivered(account: account, chat: chat, messageID: "in", now: 1) == nil)
            try #expect(tx.markDelivered(account: account, chat: chat, messageID: "a", now: 1) == message.id)
            try #expect(tx.markDelivered(account: account, chat: chat, messageID: "a", now: 1) == nil)
        }
    }

    @Test func `messages that wait for keys wait in order, per chat`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let nurse = try JID("nurse@example.com")
            let chat = try JID(juliet)
            let a = try tx.insertOutgoing(outgoing(account, id: "a", chat: nurse.description))
            let b = try tx.insertOutgoing(outgoing(account, id: "b"))
            let c = try tx.insertOutgoing(outgoing(account, id: "c"))
            try #expect(!tx.hasWaiting(account: account, chat: chat))
            for message in [a, b, c] { try tx.setAwaitsKeys(true, message: message.id) }
            _ = try tx.insertOutgoing(outgoing(account, id: "d"))
            try #expect(tx.chatsWaiting(account: account) == [nurse, chat])
            try #expect(tx.messagesWaiting(account: account, chat: chat).map(\.messageID) == ["b", "c"])
            try tx.setAwaitsKeys(false, message: b.id)
            try #expect(tx.messagesWaiting(account: account, chat: chat).map(\.messageID) == ["c"])
            try tx.setState(a.id, .failed, reason: "x", now: 2)
            try #expect(tx.chatsWaiting(account: account) == [chat])
            try #expect(!tx.hasWaiting(account: account, chat: nurse))
            try #expect(tx.hasWaiting(account: account, chat: chat))
        }
    }
}
