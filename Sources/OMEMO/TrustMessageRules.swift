/// Automatic trust management (XEP-0450): who is told of a decision about a key, and whose word counts.
public import IMCrypto
public import XMPP

/// The rules over what is known of all devices at one moment. Sends and stores nothing.
public struct TrustMessageRules: Sendable {
    /// Another device, ours or a contact's, whose key is known.
    public struct Endpoint: Sendable {
        /// Whose device it is.
        public let address: DeviceAddress
        /// Its identity key.
        public let key: IdentityKey
        /// What was decided about that.
        public let level: TrustLevel
        /// Whether it is listed for omemo:2, the only version that trust messages are about.
        public let readsTrustMessages: Bool

        /// From its parts.
        public init(address: DeviceAddress, key: IdentityKey, level: TrustLevel, readsTrustMessages: Bool) {
            self.address = address
            self.key = key
            self.level = level
            self.readsTrustMessages = readsTrustMessages
        }
    }

    /// A message, and who gets it.
    public struct Notice: Sendable {
        /// Devices of any number of people.
        public let recipients: [DeviceAddress]
        /// What they are told.
        public let message: TrustMessage
    }

    /// What a message says about one key.
    public struct Word: Equatable, Sendable {
        /// Whose key it is.
        public let owner: JID
        /// 32 bytes, Ed25519.
        public let key: Bytes
        /// `.verified` or `.distrusted`.
        public let level: TrustLevel
    }

    /// Our own JID, bare.
    public let account: JID
    /// Every other device whose key is known.
    public let endpoints: [Endpoint]

    /// - Parameter endpoints: without this device.
    public init(account: JID, endpoints: [Endpoint]) {
        self.account = account.bare
        self.endpoints = endpoints
    }

    // MARK: Out

    /// Who is told what, after the user has decided here about the key of a device. The decision is among `endpoints`
    /// already.
    public func notices(about decided: Endpoint) -> [Notice] {
        switch decided.level {
        case .verified:
            authenticated(decided)
        case .distrusted:
            // §5.2: of an own device everybody is told, of a contact's our own devices.
            [
                notice(
                    to: listeners.filter { isOwn(decided) || isOwn($0) },
                    [owner(decided.address.jid, distrusted: [decided])])
            ].compactMap { $0 }
        case .undecided, .blind: []
        }
    }

    /// §5.1: the other devices learn the new key, and the new device the keys of the others.
    private func authenticated(_ decided: Endpoint) -> [Notice] {
        let others = listeners.filter { $0.address != decided.address && $0.key != decided.key }
        let told = isOwn(decided) ? others : others.filter(isOwn)
        // A contact's device learns our own keys; a device of ours learns all.
        let known = authenticatedEndpoints.filter {
            $0.key != decided.key && (isOwn(decided) || isOwn($0))
        }
        let owners = Dictionary(grouping: known) { $0.address.jid }.sorted {
            $0.key.description < $1.key.description
        }
        return [
            notice(to: told, [owner(decided.address.jid, trusted: [decided])]),
            notice(
                to: decided.readsTrustMessages ? [decided] : [],
                owners.map { owner($0.key, trusted: $0.value) }),
        ].compactMap { $0 }
    }

    private var authenticatedEndpoints: [Endpoint] { endpoints.filter { $0.level == .verified } }

    /// Trust messages go to authenticated devices alone (§4).
    private var listeners: [Endpoint] { authenticatedEndpoints.filter(\.readsTrustMessages) }

    private func isOwn(_ endpoint: Endpoint) -> Bool { endpoint.address.jid == account }

    private func owner(
        _ jid: JID, trusted: [Endpoint] = [], distrusted: [Endpoint] = []
    ) -> TrustMessage.KeyOwner {
        TrustMessage.KeyOwner(
            jid: jid, trusted: trusted.map(\.key.ed25519), distrusted: distrusted.map(\.key.ed25519))
    }

    private func notice(to recipients: [Endpoint], _ owners: [TrustMessage.KeyOwner]) -> Notice? {
        guard !recipients.isEmpty, !owners.isEmpty else { return nil }
        return Notice(
            recipients: recipients.map(\.address),
            message: TrustMessage(encryption: ProtocolVersion.omemo2.rawValue, owners: owners))
    }

    // MARK: In

    /// What a message may say: a device of ours about everybody, a contact's about that contact's own devices (§5.1,
    /// §5.2). It counts once the sender's key is authenticated, and is kept until then.
    ///
    /// - Parameter sender: bare JID of the device that sent it.
    public static func words(
        of message: TrustMessage, from sender: JID, account: JID
    ) -> [Word] {
        guard message.usage == TrustMessage.automatic,
            message.encryption == ProtocolVersion.omemo2.rawValue
        else { return [] }
        let isOurs = sender.bare == account.bare
        return message.owners.filter { isOurs || $0.jid == sender.bare }.flatMap { owner in
            owner.trusted.filter { $0.count == 32 }.map { Word(owner: owner.jid, key: $0, level: .verified) }
                + owner.distrusted.filter { $0.count == 32 }.map {
                    Word(owner: owner.jid, key: $0, level: .distrusted)
                }
        }
    }
}
