// All that stands in a party's database, as text: what a stanza changed, and what it left alone.
import LocalAPI
import OMEMO
import Testing
import XMPP

@testable import Store

extension Party {
    /// Every row of every table, also of tables that are younger than this test.
    func dump() async throws -> Set<String> {
        try await store.read { tx in
            let tables = try tx.rows("SELECT name FROM sqlite_schema WHERE type = 'table'") { $0.text(0) }
            return Set(try tables.flatMap { try tx.dump($0) })
        }
    }

    /// What a body changes.
    func changes(_ body: () async throws -> Void) async throws -> Change {
        let before = try await dump()
        try await body()
        let after = try await dump()
        return Change(gone: before.subtracting(after), new: after.subtracting(before))
    }
}

extension Transaction {
    fileprivate func dump(_ table: String) throws -> [String] {
        let columns = try rows("SELECT name FROM pragma_table_xinfo(?1)", table) { $0.text(0) }
        // Text, number, blob and NULL all look different.
        let values = columns.map { "quote(\"\($0)\")" }.joined(separator: " || ', ' || ")
        return try rows("SELECT \(values) FROM \"\(table)\"") { "\(table): \($0.text(0))" }
    }
}

/// What happened to the rows of a database; a row that was changed is one gone and one new.
struct Change: Sendable {
    let gone: Set<String>
    let new: Set<String>

    var isEmpty: Bool { gone.isEmpty && new.isEmpty }

    /// The tables with a change.
    var tables: Set<String> { Set(gone.union(new).map { String($0.prefix { $0 != ":" }) }) }

    /// That nothing was stored but these events about a chat. An event is a row of `event`, and SQLite keeps the highest
    /// number, which is never given twice, in a row of its own.
    ///
    /// - Parameter broken: a session that may be noted, once, as one to be replaced: that is no part of it.
    func expectOnly(
        _ types: [EventType], in chat: JID, broken: BrokenSession? = nil, _ what: String = "",
        at location: SourceLocation = #_sourceLocation
    ) {
        let counter = "sqlite_sequence: 'event', "
        let events = new.filter { $0.hasPrefix("event: ") }
        let notes = new.filter { $0.hasPrefix("brokenSession: ") && broken?.isIn($0) == true }
        let others = gone.union(new).subtracting(events).subtracting(notes)
        #expect(others.allSatisfy { $0.hasPrefix(counter) }, "\(what): \(others)", sourceLocation: location)
        #expect(notes.count <= 1, "\(what)", sourceLocation: location)
        // number, account, type, chat, message
        let fields = events.map { $0.dropFirst("event: ".count).split(separator: ", ", maxSplits: 5) }
        #expect(
            fields.map { $0[2] }.sorted() == types.map { "'\($0.rawValue)'" }.sorted(), "\(what)",
            sourceLocation: location)
        #expect(fields.allSatisfy { $0[3] == "'\(chat)'" && $0[4] == "NULL" }, sourceLocation: location)
        let numbers = fields.compactMap { Int($0[0]) }
        let highest = new.filter { $0.hasPrefix(counter) }.map { $0.dropFirst(counter.count) }
        #expect(highest.compactMap { Int($0) } == numbers.max().map { [$0] } ?? [], sourceLocation: location)
    }
}

extension BrokenSession {
    fileprivate func isIn(_ row: String) -> Bool {
        row.hasSuffix(", '\(address.jid)', \(address.device), '\(version.rawValue)'")
    }
}
