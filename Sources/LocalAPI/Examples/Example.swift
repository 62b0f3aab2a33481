// One call of each method as the manual shows it, and the people it is about.

/// A request and its answer.
public struct Example<M: Method>: Sendable {
    /// What is sent.
    public var params: M.Params
    /// What is answered.
    public var result: M.Result

    /// From its parts.
    public init(_ params: M.Params, _ result: M.Result) {
        self.params = params
        self.result = result
    }

    /// The line that is sent, without its line feed.
    ///
    /// - Throws: `.internalError`; never in practice.
    public func request() throws(UserError) -> String {
        let request = Request(id: .integer(1), method: M.name, params: try json().params)
        return String(decoding: request.line.dropLast(), as: UTF8.self)
    }

    /// The line that is answered, without its line feed.
    ///
    /// - Throws: `.internalError`; never in practice.
    public func answer() throws(UserError) -> String {
        String(decoding: Response.success(.integer(1), try json().result).dropLast(), as: UTF8.self)
    }

    /// Both as JSON.
    ///
    /// - Throws: `.internalError`; never in practice.
    public func json() throws(UserError) -> (params: JSONValue, result: JSONValue) {
        do {
            return (try JSONValue(encoding: params), try JSONValue(encoding: result))
        } catch {
            throw UserError(.internalError, "the example of \(M.name) cannot be written")
        }
    }
}

/// Alice's imd, her contact Bob and her server.
enum Scene {
    static let alice = "alice@example.org"
    static let bob = "bob@example.org"
    static let carol = "carol@example.org"
    static let aliceDevice: UInt32 = 1_217_361_442
    static let bobDevice: UInt32 = 836_224_870
    static let aliceKey = "5e8d0c3a1f7b92e46c05d8a7f3b1e96427d0c58ab94f61e3870d2c5b9ea43f16"
    static let bobKey = "a7c1f09e24d86b35e1907f4cd2583ab60e9b714fc3d5a82661f70b9d48ec2a53"
    static let backup = "/home/alice/imd-backup"
    static let passphrase = "nine llamas dance"

    /// A moment of one morning.
    static func at(_ minute: Int64, _ second: Int64 = 0) -> Timestamp {
        Timestamp(milliseconds: 1_795_853_400_000 + (minute * 60 + second) * 1000)
    }

    /// - Parameter queued: only in lists.
    static func account(_ state: AccountState = .online, queued: Int64? = nil) -> AccountStatus {
        var account = AccountStatus(
            jid: alice, state: state, since: at(2, 11), device: aliceDevice, fingerprint: aliceKey)
        guard state == .online else { return account }
        (account.resource, account.server) = ("imd.Tq3vPzx8", "xmpp.example.org:5222")
        (account.tls, account.mechanism) = ("TLSv1.3", "SCRAM-SHA-256-PLUS")
        (account.channelBinding, account.resumed, account.catchingUp) = ("tls-exporter", false, false)
        account.queued = queued
        return account
    }

    static let encryption = Encryption(protocol: "eu.siacs.conversations.axolotl")

    static let sent = Message(
        account: alice, chat: bob, from: alice, direction: .out, body: "backup done", encryption: encryption,
        id: "backup-2026-11-28", at: at(10), state: .server)

    static let received = Message(
        account: alice, chat: bob, from: bob, direction: .in, body: "thanks", encryption: bobs,
        id: "k2Lw9vQfTz",
        at: at(11, 20), state: .received)

    static let bobs = Encryption(
        protocol: "eu.siacs.conversations.axolotl", device: bobDevice, fingerprint: bobKey, trust: .blind)

    static func waiting(_ state: DeliveryState, _ reason: String? = nil) -> Message {
        Message(
            account: alice, chat: bob, from: alice, direction: .out, body: "disk is full",
            encryption: encryption,
            id: "disk-2026-11-28", at: at(15), state: state, reason: reason)
    }

    static func device(_ trust: Trust) -> DeviceList.Device {
        DeviceList.Device(
            device: bobDevice, fingerprint: bobKey, trust: trust, active: true, own: false,
            firstSeenAt: at(9),
            lastReceivedAt: at(11, 20), versions: [.legacy, .omemo2], receives: trust != .distrusted)
    }

    static let contact = Contact(
        account: alice, jid: bob, name: "Bob", subscription: .both, groups: ["Friends"], show: .away,
        status: "lunch")

    static let consumer = ConsumerList.Consumer(
        name: "deploy-bot", acknowledged: 41, pending: 2, createdAt: at(5), connected: false)

    static let chat = ChatEncryption(
        jid: bob, required: true, since: at(10), policy: .btbv, policySource: .default)
}
