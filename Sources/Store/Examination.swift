// What `Store.check` looks at, table by table.
import GRDB
import OMEMO
import XMPP

/// One walk through the database. Each step has a snapshot of its own: a long one would keep SQLite's log
/// from being written back.
struct Examination {
    let queue: DatabaseQueue
    let checks: Checks
    let sealing: Sealing
    private(set) var problems: [String] = []

    private static let limit = 100
    private static let pageSize = 1000

    init(of queue: DatabaseQueue, _ checks: Checks, _ sealing: Sealing) {
        self.queue = queue
        self.sealing = sealing
        self.checks = checks
    }

    /// - Returns: what is damaged.
    mutating func run() throws -> [String] {
        try structure()
        try keys()
        try stanzasAndMessages()
        try events()
        guard problems.count > Self.limit else { return problems }
        return problems.prefix(Self.limit - 1) + ["and more than are listed here"]
    }

    private mutating func structure() throws {
        try step("integrity_check") { (tx) throws(StoreError) in
            try tx.rows("PRAGMA integrity_check(100)") { $0.text(0) }.filter { $0 != "ok" }
        }
        try step("foreign_key_check") { (tx) throws(StoreError) in
            try tx.rows("PRAGMA foreign_key_check") { row in
                let row = (table: row.text(0), number: row.integer(1), parent: row.text(2))
                return "\(row.table) \(row.number) refers to a missing \(row.parent)"
            }
        }
    }

    private mutating func keys() throws {
        var accounts: [Int64] = []
        try step("account") { (tx) throws(StoreError) in
            try tx.rows("\(Transaction.selectAccounts) ORDER BY id") { row in
                accounts.append(row.integer(0))
                return (try? tx.account(row)) == nil ? "seal of account \(row.integer(0))" : nil
            }.compactMap { $0 }
        }
        for account in accounts {
            try step("resumption") { (tx) throws(StoreError) in
                guard try tx.resumption(account: account) == nil else { return [] }
                return try tx.rows("SELECT 1 FROM resumption WHERE account = ?", account) { _ in
                    "checksum of resumption \(account)"
                }
            }
            try step("preKey") { (tx) throws(StoreError) in
                try tx.damagedPreKeys(account: account).map { "seal of \($0.table) \(account)/\($0.id)" }
            }
            try step("device") { (tx) throws(StoreError) in try tx.damagedDevices(account: account) }
            try step("trustDecision") { (tx) throws(StoreError) in
                try tx.damagedDecisions(account: account)
            }
            try step("session") { (tx) throws(StoreError) in try tx.damagedSessions(account: account) }
        }
    }

    private mutating func stanzasAndMessages() throws {
        let outbox = """
            SELECT id, message, stanza, createdAt, checksum, account FROM outbox WHERE id > ? ORDER BY id LIMIT ?
            """
        try pages(of: "outbox", outbox) { row in
            Transaction.isWhole(row, account: row.integer(5))
                ? nil : "checksum of outbox \(row.integer(5))/\(row.integer(0))"
        }
        let messages = "\(Transaction.selectMessages) WHERE m.id > ? ORDER BY m.id LIMIT ?"
        try pages(of: "message", messages) { row in
            StoredMessage(row).isDamaged ? "checksum of message \(row.integer(0))" : nil
        }
        try step("message") { (tx) throws(StoreError) in
            try tx.rows("\(Transaction.selectStranded) LIMIT 100") { row in
                "message \(row.integer(0)) waits to be sent and has no stanza"
            }
        }
    }

    /// They have no checksum.
    private mutating func events() throws {
        var readable: Set<String> = []
        let events = "SELECT number, chat FROM event WHERE number > ? ORDER BY number LIMIT ?"
        try pages(of: "event", events) { row in
            guard let chat = row.optionalText(1), !readable.contains(chat) else { return nil }
            guard (try? row.jid(1)) != nil else { return "unreadable chat of event \(row.integer(0))" }
            readable.insert(chat)
            return nil
        }
    }

    /// - Parameters:
    ///   - sql: selects rows behind a number, no more than a second one, in their order; the number comes
    ///     first.
    ///   - problem: what is wrong with a row; nil if nothing is.
    private mutating func pages(
        of table: String, _ sql: String, problem: (Row) -> String?
    ) throws {
        // Not even a damaged number can lie below this one.
        var after: Int64? = .min
        while let start = after, problems.count <= Self.limit {
            after = nil
            try step(table) { (tx) throws(StoreError) in
                var found: [String] = []
                let numbers = try tx.rows(sql, start, Self.pageSize) { row in
                    if let problem = problem(row) { found.append(problem) }
                    return row.integer(0)
                }
                if numbers.count == Self.pageSize { after = numbers.last }
                return found
            }
        }
    }

    /// What SQLite cannot read is damage too; the other tables may be whole.
    private mutating func step(
        _ name: String, _ body: (Transaction) throws(StoreError) -> [String]
    ) throws {
        if checks.isStopped { throw StoreError.closed }
        do {
            problems += try queue.unsafeRead { database in
                let transaction = Transaction(database, sealing)
                try transaction.run("BEGIN DEFERRED TRANSACTION")
                defer { if database.isInsideTransaction { try? database.rollback() } }
                return try body(transaction)
            }
        } catch StoreError.corrupt(let what) {
            problems.append("\(name): \(what)")
        }
    }
}

extension Transaction {
    fileprivate func damagedDevices(account: Int64) throws(StoreError) -> [String] {
        try rows("\(Self.selectDevices) WHERE account = ? ORDER BY jid, device", account) { row in
            if let address = address(row), !device(row, address, account: account).isDamaged { return nil }
            return "checksum of device \(account)/\(row.text(0))/\(row.integer(1))"
        }.compactMap { $0 }
    }

    fileprivate func damagedSessions(account: Int64) throws(StoreError) -> [String] {
        try rows(
            "SELECT jid, device, version, record FROM session WHERE account = ? ORDER BY jid, device", account
        ) { row in
            if let address = address(row), let version = ProtocolVersion(rawValue: row.text(2)) {
                if sealing.open(row, 3, in: .session(account, address, version)) != nil { return nil }
            }
            return "seal of session \(account)/\(row.text(0))/\(row.integer(1))"
        }.compactMap { $0 }
    }

    private func address(_ row: Row) -> DeviceAddress? {
        guard let jid = try? row.jid(0), let device = try? row.id(1) else { return nil }
        return DeviceAddress(jid: jid, device: device)
    }
}
