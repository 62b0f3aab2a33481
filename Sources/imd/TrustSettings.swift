// The trust policies of the configuration file.
import Foundation
import LocalAPI
import OMEMO
import TOMLKit
import XMPP

/// What `[trust]` and `[account."JID".trust]` say.
struct TrustSettings: Equatable, Sendable {
    /// For everybody for whom there is nothing else; nil if the file does not say.
    var policy: TrustPolicy?
    private var contacts: [JID: TrustPolicy] = [:]
    private var accounts: [JID: TrustSettings] = [:]

    init() {}

    /// What the file fixes for a contact, or without one for an account.
    func policy(account: JID, contact: JID?) -> TrustPolicy? {
        let own = accounts[account]
        guard let contact else { return own?.policy }
        return own?.contacts[contact] ?? contacts[contact]
    }

    /// Reads `policy` and `contacts` of a table.
    mutating func read(_ table: TOMLTable, _ fail: ConfigFailure) throws(UserError) {
        for key in table.keys {
            switch key {
            case "policy": policy = try Self.policy(table[key], key, fail)
            case "contacts":
                guard let people = table[key]?.table else { throw fail.at(key, "contacts takes a table") }
                let fail = fail.inside(key)
                for name in people.keys {
                    contacts[try Self.jid(name, fail)] = try Self.policy(people[name], name, fail)
                }
            default: throw fail.unknown(key)
            }
        }
    }

    /// Reads `[account."JID".trust]`.
    mutating func read(accounts table: TOMLTable, _ fail: ConfigFailure) throws(UserError) {
        for name in table.keys {
            let jid = try Self.jid(name, fail)
            guard let account = table[name]?.table else { throw fail.at(name, "account takes tables by JID") }
            let fail = fail.inside(name)
            for key in account.keys {
                guard key == "trust", let trust = account[key]?.table else { throw fail.unknown(key) }
                try accounts[jid, default: TrustSettings()].read(trust, fail.inside(key))
            }
        }
    }

    private static func policy(
        _ value: (any TOMLValueConvertible)?, _ key: String, _ fail: ConfigFailure
    ) throws(UserError) -> TrustPolicy {
        guard let policy = value?.string.flatMap(TrustPolicy.init(rawValue:)) else {
            let words = TrustPolicy.allCases.map(\.rawValue).joined(separator: ", ")
            throw fail.at(key, "\(key) takes one of \(words)")
        }
        return policy
    }

    private static func jid(_ name: String, _ fail: ConfigFailure) throws(UserError) -> JID {
        guard let jid = try? JID(name), jid.isBare, jid.localpart != nil else {
            throw fail.at(name, "'\(name)' is not a bare JID")
        }
        return jid
    }
}
