// The Double Ratchet: one fresh set of keys per message, in both directions (XEP-0384 §4.3).
import CSodium

/// The keys of one message. The caller encrypts with AES-256-CBC and authenticates with HMAC-SHA-256.
public struct MessageKeys: Sendable {
    /// 32 bytes, AES-256.
    public let cipherKey: SecretBytes
    /// 32 bytes, HMAC-SHA-256.
    public let macKey: SecretBytes
    /// 16 bytes, CBC.
    public let iv: Bytes
}

/// What travels in clear with each message.
public struct RatchetHeader: Equatable, Sendable {
    /// The sender's ratchet key.
    public var dh: PublicKey
    /// Number of the message in its sending chain, from 0.
    public var n: UInt32
    /// Length of the sender's previous sending chain. COMPAT: libsignal sends one less.
    public var pn: UInt32

    /// A header as it was received, or as a test wants it.
    public init(dh: PublicKey, n: UInt32, pn: UInt32) {
        self.dh = dh
        self.n = n
        self.pn = pn
    }
}

/// Why the ratchet yields no keys; it is unchanged then.
public enum RatchetError: Error, Equatable, Sendable {
    /// The key of this message was used, or it was too old to be kept. Ordinary after a catch-up.
    case alreadyDecrypted
    /// More than `DoubleRatchet.maxSkip` messages would be skipped.
    case tooFarAhead
    /// The peer's ratchet key is of small order, or an own key or secret has the wrong size.
    case invalidKey
    /// A new ratchet key that cannot answer anything sent: the peer has not seen our current one, for none
    /// was sent since its last.
    case unknownRatchetKey
    /// A responder cannot send before it has received.
    case nothingReceived
    /// 2^32-1 messages were sent without an answer.
    case chainExhausted
}

/// One side of a session, as a value: advance a copy, keep it when the message proved authentic.
///
/// A copy costs a few reference counts. The new ratchet key of an answer is made when the answer is sent
/// (Double Ratchet §6.5), not when the message it answers arrives, so a forged message costs one agreement at
/// most, and receiving needs no randomness.
public struct DoubleRatchet: Sendable {
    /// The most messages one message may skip, and the most keys a session keeps for skipped messages; beyond
    /// it the oldest go first.
    public static let maxSkip = 1000

    /// Receiving chains kept, the current one included. COMPAT: libsignal's `pn` is one short, so the last
    /// message of a chain can only be decrypted with the chain itself.
    static let maxReceivingChains = 5

    /// What the OMEMO versions do differently.
    public struct Parameters: Sendable {
        let version: UInt8
        let rootInfo: StaticString
        let messageInfo: StaticString

        /// `eu.siacs.conversations.axolotl`
        public static let legacy = Parameters(
            version: 0, rootInfo: "WhisperRatchet", messageInfo: "WhisperMessageKeys")
        /// `urn:xmpp:omemo:2`
        public static let omemo2 = Parameters(
            version: 2, rootInfo: "OMEMO Root Chain", messageInfo: "OMEMO Message Key Material")
    }

    struct ReceivingChain: Sendable {
        let dh: PublicKey
        var chain: ChainKey
    }

    let parameters: Parameters
    var rootKey: SecretBytes
    /// Nil once the peer answered it; the next message sent brings a new one.
    var ratchetKey: KeyPair?
    /// Nil until something is sent with `ratchetKey`.
    var sending: ChainKey?
    var previousCount: UInt32 = 0
    var receiving: [ReceivingChain] = []  // newest last
    var skipped = SkippedKeys()

    /// The side that sends first, with a fresh ratchet key.
    ///
    /// - Parameter sharedSecret: 32 bytes, from X3DH.
    /// - Throws: `.invalidKey` if the secret has another size or the signed pre-key is of small order.
    public init(
        initiator sharedSecret: SecretBytes, remoteSignedPreKey: PublicKey, parameters: Parameters,
        using random: inout some RandomNumberGenerator
    ) throws(RatchetError) {
        guard sharedSecret.count == 32 else { throw .invalidKey }
        self.parameters = parameters
        rootKey = sharedSecret
        try startSending(to: remoteSignedPreKey, using: &random)
    }

    /// The side that receives first; the signed pre-key pair is its first ratchet key.
    ///
    /// - Parameter sharedSecret: 32 bytes, from X3DH.
    public init(responder sharedSecret: SecretBytes, signedPreKey: KeyPair, parameters: Parameters) {
        precondition(sharedSecret.count == 32, "X3DH yields 32 bytes")
        self.parameters = parameters
        rootKey = sharedSecret
        ratchetKey = signedPreKey
    }

    init(parameters: Parameters, rootKey: SecretBytes) {
        self.parameters = parameters
        self.rootKey = rootKey
    }

    /// The number that the next message of the current receiving chain will have. OMEMO answers with an empty
    /// message once it has received number 53 (XEP-0384 §6).
    public var receivedCount: UInt32 { receiving.last?.chain.count ?? 0 }

    /// How many messages were sent since the peer's last ratchet step.
    public var sentCount: UInt32 { sending?.count ?? 0 }

    /// Uses up the next message keys of the sending chain; starts a new chain if the peer has answered.
    ///
    /// - Parameter random: 32 bytes are drawn when a chain starts.
    /// - Throws: `.nothingReceived`, `.chainExhausted`, `.invalidKey`.
    public mutating func sendingKeys(
        using random: inout some RandomNumberGenerator
    ) throws(RatchetError) -> (header: RatchetHeader, keys: MessageKeys) {
        if sending == nil {
            guard let remote = receiving.last?.dh else { throw .nothingReceived }
            try startSending(to: remote, using: &random)
        }
        guard var chain = sending, let ratchetKey else { throw .nothingReceived }
        guard chain.count < .max else { throw .chainExhausted }
        let header = RatchetHeader(dh: ratchetKey.publicKey, n: chain.count, pn: previousCount)
        let keys = chain.next(parameters)
        sending = chain
        return (header, keys)
    }

    /// Uses up the keys of one received message, keeping the keys of messages it steps over.
    ///
    /// The keys are right only if the message's MAC verifies: work on a copy and keep it only then.
    ///
    /// - Throws: `.alreadyDecrypted`, for callers to drop silently; `.tooFarAhead`; `.invalidKey`;
    ///   `.unknownRatchetKey`.
    public mutating func receivingKeys(_ header: RatchetHeader) throws(RatchetError) -> MessageKeys {
        // The highest number is never used, so that a counter has room to step past any other.
        guard header.n < .max else { throw .tooFarAhead }
        if let index = receiving.lastIndex(where: { $0.dh == header.dh }) {
            return try keys(of: header.n, inChain: index)
        }
        if skipped.contains(header.dh) {
            guard let keys = skipped.take(header.n, of: header.dh, parameters) else {
                throw .alreadyDecrypted
            }
            return keys
        }
        try startReceiving(header)
        return try keys(of: header.n, inChain: receiving.count - 1)
    }

    private mutating func keys(of n: UInt32, inChain index: Int) throws(RatchetError) -> MessageKeys {
        let count = receiving[index].chain.count
        if n < count {
            guard let keys = skipped.take(n, of: receiving[index].dh, parameters) else {
                throw .alreadyDecrypted
            }
            return keys
        }
        guard n - count <= UInt32(Self.maxSkip) else { throw .tooFarAhead }
        skip(Int(n - count), inChain: index)
        return receiving[index].chain.next(parameters)
    }

    private mutating func skip(_ count: Int, inChain index: Int) {
        guard count > 0 else { return }
        skipped.append(receiving[index].chain.skip(count), of: receiving[index].dh)
    }

    /// The receiving half of a Diffie-Hellman step. Everything that can fail comes before the first change.
    private mutating func startReceiving(_ header: RatchetHeader) throws(RatchetError) {
        guard header.n <= UInt32(Self.maxSkip) else { throw .tooFarAhead }
        guard let ratchetKey else { throw .unknownRatchetKey }
        let (newRootKey, chainKey) = try rootStep(ratchetKey, header.dh)
        if let last = receiving.last {
            // What exceeds the limit stays reachable through the chain itself while that is kept.
            let missing = header.pn > last.chain.count ? Int(header.pn - last.chain.count) : 0
            skip(min(missing, Self.maxSkip - Int(header.n)), inChain: receiving.count - 1)
        }
        if receiving.count == Self.maxReceivingChains { receiving.removeFirst() }
        receiving.append(ReceivingChain(dh: header.dh, chain: ChainKey(key: chainKey)))
        rootKey = newRootKey
        previousCount = sending?.count ?? 0
        sending = nil
        self.ratchetKey = nil
    }

    /// The sending half of a Diffie-Hellman step, with a fresh ratchet key.
    private mutating func startSending(
        to remote: PublicKey, using random: inout some RandomNumberGenerator
    ) throws(RatchetError) {
        let fresh = KeyPair.generate(using: &random)
        let (newRootKey, chainKey) = try rootStep(fresh, remote)
        rootKey = newRootKey
        ratchetKey = fresh
        sending = ChainKey(key: chainKey)
    }

    /// HKDF(salt root key, input DH, 64 bytes): the next root key and a chain key.
    private func rootStep(
        _ own: KeyPair, _ remote: PublicKey
    ) throws(RatchetError) -> (rootKey: SecretBytes, chainKey: SecretBytes) {
        let derived = withUnsafeTemporaryAllocation(byteCount: 96, alignment: 8) {
            scratch -> (SecretBytes, SecretBytes)? in
            defer { sodium_memzero(scratch.start, 96) }
            let agreed = UnsafeMutableRawBufferPointer(rebasing: scratch[0..<32])
            let out = UnsafeMutableRawBufferPointer(rebasing: scratch[32..<96])
            guard own.agree(with: remote, into: agreed) else { return nil }
            var salted = rootKey.withUnsafeBytes { HMACSHA256(key: $0) }
            HKDF.derive(
                salted, ikm: UnsafeRawBufferPointer(agreed), info: parameters.rootInfo.buffer, into: out)
            salted.wipe()
            return (
                SecretBytes(UnsafeMutableRawBufferPointer(rebasing: out[0..<32])),
                SecretBytes(UnsafeMutableRawBufferPointer(rebasing: out[32..<64]))
            )
        }
        guard let derived else { throw .invalidKey }
        return derived
    }
}
