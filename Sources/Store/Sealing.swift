// Private columns of the database: sealed, each to its row, under a key that is itself kept sealed.
public import IMCrypto

/// Where the key comes from that the database's own key is wrapped with.
public enum KeyOrigin: String, Sendable, CaseIterable {
    /// A file of the user's.
    case file
    /// The desktop's Secret Service.
    case secretService = "secret-service"
    /// A systemd credential.
    case credential
    /// Asked for at start.
    case passphrase
}

/// How the database's own key is wrapped.
public struct KeyWrapping: Equatable, Sendable {
    /// Where the wrapping key comes from.
    public var origin: KeyOrigin
    /// How a passphrase becomes a key; nil for the other origins.
    public var parameters: PassphraseKey.Parameters?

    /// From its parts.
    public init(origin: KeyOrigin, parameters: PassphraseKey.Parameters? = nil) {
        self.origin = origin
        self.parameters = parameters
    }
}

/// The cell a sealed value belongs to: moved to another, it does not open.
struct Cell: ~Copyable {
    private(set) var bytes: Bytes

    /// - Parameter name: of table and column.
    init(_ name: StaticString, _ account: Int64) {
        bytes = name.withUTF8Buffer { Bytes($0) }
        bytes.reserveCapacity(128)
        bytes.append(0)
        add(account)
    }

    mutating func add(_ number: Int64) {
        withUnsafeBytes(of: number.littleEndian) { bytes += $0 }
    }

    mutating func add(_ more: Bytes) {
        add(Int64(more.count))
        bytes += more
    }

    mutating func add(_ text: String) {
        add(Int64(text.utf8.count))
        bytes += text.utf8
    }
}

/// The key of the private columns.
struct Sealing: Sendable {
    let key: SecretBytes

    func seal(_ secret: SecretBytes, in cell: borrowing Cell) -> Bytes {
        var random = SystemRandomNumberGenerator()
        return Seal.seal(secret, key: key, associated: cell.bytes, using: &random)
    }

    /// - Returns: nil where the cell does not hold what was sealed for it.
    func open(_ row: Row, _ column: Int32, in cell: borrowing Cell) -> SecretBytes? {
        row.withBytes(column) { try? Seal.open($0, key: key, associated: cell.bytes) }
    }
}

// MARK: Cells

extension Cell {
    static func password(_ account: Int64) -> Cell { Cell("account.password", account) }

    static func identitySeed(_ account: Int64, device: UInt32) -> Cell {
        var cell = Cell("account.identitySeed", account)
        cell.add(Int64(device))
        return cell
    }

    static func preKey(_ account: Int64, _ id: UInt32) -> Cell {
        var cell = Cell("preKey.privateKey", account)
        cell.add(Int64(id))
        return cell
    }

    static func signedPreKey(
        _ account: Int64, _ id: UInt32, signature: Bytes, createdAt: Int64
    ) -> Cell {
        var cell = Cell("signedPreKey.privateKey", account)
        cell.add(Int64(id))
        cell.add(signature)
        cell.add(createdAt)
        return cell
    }

    static func session(_ account: Int64, jid: String, device: UInt32, version: String) -> Cell {
        var cell = Cell("session.record", account)
        cell.add(jid)
        cell.add(Int64(device))
        cell.add(version)
        return cell
    }
}
