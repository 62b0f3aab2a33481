// The client's side of SCRAM (RFC 5802, RFC 7677), with channel binding and downgrade protection (XEP-0474).

public import IMCrypto

/// One SCRAM exchange, from the client's first message to the server's proof.
///
/// A value: the nonce is given, nothing is random here. Deriving the key blocks for as long as the server's
/// iteration count takes, bounded by ``iterations``.
public struct SCRAM: Sendable {
    /// Iteration counts that are accepted: RFC 7677 §4 wants at least 4096, and more than the upper end is
    /// an attempt to keep the client busy.
    public static let iterations = 4_096...500_000
    /// Longer messages from the server are refused unread.
    public static let maxMessage = 4_096

    /// The GS2 header's flag (RFC 5802 §7).
    public enum Binding: Equatable, Sendable {
        /// `n`: we cannot bind, or choose not to.
        case unsupported
        /// `y`: we could, and the server does not offer it. The server refuses if it does offer it.
        case notOffered
        /// `p`: bound by that type, with its data.
        case bound(ChannelBindingType, Bytes)

        var type: ChannelBindingType? {
            if case .bound(let type, _) = self { type } else { nil }
        }

        var strength: Int { type?.strength ?? 0 }

        fileprivate var header: String {
            switch self {
            case .unsupported: "n,,"
            case .notOffered: "y,,"
            case .bound(let type, _): "p=\(type.rawValue),,"
            }
        }
    }

    /// What the server offered, for comparing with the hash it sends (XEP-0474 §5).
    public struct Offer: Equatable, Sendable {
        /// All mechanisms, also unknown ones.
        public var mechanisms: [String]
        /// The types announced by XEP-0440; nil without announcement.
        public var bindings: [String]?

        /// The server's two lists, in any order.
        public init(mechanisms: [String], bindings: [String]?) {
            self.mechanisms = mechanisms
            self.bindings = bindings
        }

        func digest(_ hash: HashAlgorithm) -> Bytes {
            var text = Self.joined(mechanisms)
            if let bindings { text += [0x1F] + Self.joined(bindings) }
            return hash.digest(text)
        }

        private static func joined(_ names: [String]) -> Bytes {
            let sorted = names.map { Bytes($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
            return Bytes(sorted.joined(separator: [0x1E]))
        }
    }

    private enum State: Sendable {
        case started(password: SecretBytes)
        case proved(serverSignature: Bytes)
        case verified
    }

    private let hash: HashAlgorithm
    private let nonce: Bytes
    private let binding: Binding
    private let offer: Offer?
    private let bare: Bytes  // client-first-message-bare
    private var state: State

    /// Prepares user name and password by SASLprep.
    ///
    /// - Parameters:
    ///   - username: without escapes.
    ///   - password: UTF-8.
    ///   - nonce: printable ASCII without comma, unpredictable and never used before.
    ///   - offer: nil leaves the server's hash of its offer unchecked.
    /// - Throws: `.unusableCredentials`.
    public init(
        _ hash: HashAlgorithm, username: String, password: SecretBytes, nonce: String, binding: Binding,
        offer: Offer? = nil
    ) throws(StreamFailure) {
        precondition(Self.isNonce(Bytes(nonce.utf8)), "not a SCRAM nonce")
        guard let username = SASLprep.prepare(username) else { throw .unusableCredentials("user name") }
        guard let password = SASLprep.prepare(password) else { throw .unusableCredentials("password") }
        self.hash = hash
        self.nonce = Bytes(nonce.utf8)
        self.binding = binding
        self.offer = offer
        bare = Bytes("n=".utf8) + Self.escaped(username) + Bytes(",r=\(nonce)".utf8)
        state = .started(password: password)
    }

    /// The client-first-message.
    public var clientFirst: Bytes { Bytes(binding.header.utf8) + bare }

    /// Whether the server has proved that it knows the password.
    public var isVerified: Bool {
        if case .verified = state { true } else { false }
    }

    /// Takes the server's next message.
    ///
    /// - Returns: the client-final-message, then nothing.
    /// - Throws: `.nonce`, `.iterationCount`, `.scram`, `.tamperedMechanisms`, `.serverSignature`, or the
    ///   server's own error as `.authentication`. Abort the login then; the state is unchanged.
    public mutating func received(_ message: Bytes) throws(StreamFailure) -> Bytes {
        guard message.count <= Self.maxMessage else { throw .scram("too long") }
        switch state {
        case .started(let password):
            let (final, signature) = try clientFinal(answering: message, password)
            state = .proved(serverSignature: signature)
            return final
        case .proved(let expected):
            try Self.verify(message, expected)
            state = .verified
            return []
        case .verified:
            throw .scram("a message after the last one")
        }
    }
}

// MARK: Messages

extension SCRAM {
    /// The server-first-message: `r`, `s` and `i` in that order, then extensions (RFC 5802 §7).
    private struct ServerFirst {
        var nonce: Bytes
        var salt: Bytes
        var iterations: Int
        var offerDigest: Bytes?

        init(_ message: Bytes, extending clientNonce: Bytes) throws(StreamFailure) {
            let attributes = try SCRAM.attributes(message)
            try SCRAM.refuseError(attributes)
            guard attributes.count >= 3, attributes[0].name == UInt8(ascii: "r"),
                attributes[1].name == UInt8(ascii: "s"), attributes[2].name == UInt8(ascii: "i")
            else { throw .scram("attributes are missing") }
            nonce = attributes[0].value
            guard nonce.count > clientNonce.count, nonce.starts(with: clientNonce), SCRAM.isNonce(nonce)
            else {
                throw .nonce
            }
            guard let salt = Base64.decode(attributes[1].value), !salt.isEmpty else {
                throw .scram("the salt is not valid")
            }
            self.salt = salt
            iterations = try SCRAM.iterationCount(attributes[2].value)
            for (name, value) in attributes[3...] where name == UInt8(ascii: "h") {
                guard let digest = Base64.decode(value) else { throw .scram("the offer's hash is not valid") }
                offerDigest = digest
            }
        }
    }

    private func clientFinal(
        answering message: Bytes, _ password: SecretBytes
    ) throws(StreamFailure) -> (message: Bytes, serverSignature: Bytes) {
        let first = try ServerFirst(message, extending: nonce)
        if let offer, let digest = first.offerDigest, digest != offer.digest(hash) {
            throw .tamperedMechanisms
        }
        let salted = try saltedPassword(password, first)
        var bound = Bytes(binding.header.utf8)
        if case .bound(_, let data) = binding { bound += data }
        let withoutProof = Bytes("c=\(Base64.encode(bound)),r=".utf8) + first.nonce
        let comma = [UInt8(ascii: ",")]
        let authMessage = bare + comma + message + comma + withoutProof
        let clientKey = SecretBytes(HMAC.authenticate(Bytes("Client Key".utf8), key: salted, hash))
        let storedKey = SecretBytes(hash.digest(clientKey.bytes))
        let clientSignature = HMAC.authenticate(authMessage, key: storedKey, hash)
        let proof = clientKey.withUnsafeBytes { key in zip(key, clientSignature).map { $0 ^ $1 } }
        let serverKey = SecretBytes(HMAC.authenticate(Bytes("Server Key".utf8), key: salted, hash))
        return (
            withoutProof + Bytes(",p=\(Base64.encode(proof))".utf8),
            HMAC.authenticate(authMessage, key: serverKey, hash)
        )
    }

    private func saltedPassword(
        _ password: SecretBytes, _ first: ServerFirst
    ) throws(StreamFailure) -> SecretBytes {
        do {
            return try PBKDF2.derive(
                hash, password: password, salt: first.salt, iterations: first.iterations, count: hash.size)
        } catch {
            throw .scram("the salt is not valid")
        }
    }

    /// The server-final-message: `v`, or `e` (RFC 5802 §7).
    private static func verify(_ message: Bytes, _ expected: Bytes) throws(StreamFailure) {
        let attributes = try attributes(message)
        try refuseError(attributes)
        guard let first = attributes.first, first.name == UInt8(ascii: "v"),
            let signature = Base64.decode(first.value), constantTimeEqual(signature, expected)
        else { throw .serverSignature }
    }
}

// MARK: Syntax

extension SCRAM {
    private typealias Attribute = (name: UInt8, value: Bytes)

    /// Unknown attributes may be ignored, except `m`, which stands for one that must not be.
    private static func attributes(_ message: Bytes) throws(StreamFailure) -> [Attribute] {
        var attributes: [Attribute] = []
        for field in message.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
            let field = Bytes(field)
            guard field.count >= 2, field[1] == UInt8(ascii: "="), isLetter(field[0]) else {
                throw .scram("not a list of attributes")
            }
            guard field[0] != UInt8(ascii: "m") else { throw .scram("an unknown extension is mandatory") }
            attributes.append((field[0], Bytes(field[2...])))
        }
        return attributes
    }

    /// The server may report its error here instead of in `<failure/>`.
    private static func refuseError(_ attributes: [Attribute]) throws(StreamFailure) {
        guard let error = attributes.first, error.name == UInt8(ascii: "e") else { return }
        throw .authentication(condition: String(decoding: error.value, as: UTF8.self), text: nil)
    }

    private static func iterationCount(_ digits: Bytes) throws(StreamFailure) -> Int {
        guard let first = digits.first, (UInt8(ascii: "1")...UInt8(ascii: "9")).contains(first),
            digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        else { throw .scram("the iteration count is not a number") }
        let count = Int(String(decoding: digits, as: UTF8.self)) ?? .max
        guard iterations.contains(count) else { throw .iterationCount(count) }
        return count
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte & ~0x20) && byte < 0x80
    }

    private static func isNonce(_ bytes: Bytes) -> Bool {
        !bytes.isEmpty && bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ",") }
    }

    /// `,` and `=` cannot stand in a user name (RFC 5802 §5.1).
    private static func escaped(_ username: String) -> Bytes {
        var result = Bytes()
        for byte in username.utf8 {
            switch byte {
            case UInt8(ascii: ","): result += Bytes("=2C".utf8)
            case UInt8(ascii: "="): result += Bytes("=3D".utf8)
            default: result.append(byte)
            }
        }
        return result
    }
}

extension HashAlgorithm {
    fileprivate var size: Int {
        switch self {
        case .sha1: 20
        case .sha256: 32
        case .sha512: 64
        }
    }

    fileprivate func digest(_ bytes: Bytes) -> Bytes {
        switch self {
        case .sha1: Hash.sha1(bytes)
        case .sha256: Hash.sha256(bytes)
        case .sha512: Hash.sha512(bytes)
        }
    }
}
