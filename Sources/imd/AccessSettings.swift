// The limited sockets of the configuration file.
import LocalAPI
import TOMLKit
import XMPP

extension Access {
    /// Reads the tables `[access.NAME]`.
    static func read(_ table: TOMLTable, _ fail: ConfigFailure) throws(UserError) -> [Access] {
        var found: [Access] = []
        for name in table.keys.sorted() {
            guard isName(name) else {
                throw fail.at(
                    name,
                    "a socket is called by 1 to 32 letters, digits, - or _, and imd.sock is there already")
            }
            guard let settings = table[name]?.table else {
                throw fail.at(name, "access takes tables by name")
            }
            found.append(try Access(name, settings, fail))
        }
        return found
    }

    /// It becomes a file's name, and a consumer's.
    private static func isName(_ name: String) -> Bool {
        (1...32).contains(name.utf8.count) && name != "imd"
            && name.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x5f: true
                default: false
                }
            }
    }

    private init(_ name: String, _ table: TOMLTable, _ fail: ConfigFailure) throws(UserError) {
        self.init(name: name)
        let (outer, fail) = (fail, fail.inside(name))
        for key in table.keys {
            switch key {
            case "allow": allow = try Self.capabilities(table[key], fail)
            case "to": to = try Self.people(table[key], fail)
            case "account":
                guard let jid = table[key]?.string.flatMap(Self.person) else {
                    throw fail.at(key, "account takes a bare JID")
                }
                account = jid
            case "per-minute":
                guard let number = table[key]?.int, (1...100_000).contains(number) else {
                    throw fail.at(key, "per-minute takes a whole number from 1 to 100000")
                }
                perMinute = number
            default: throw fail.unknown(key)
            }
        }
        guard !allow.isEmpty else {
            throw outer.at(name, "[access.\(name)] needs allow, for example allow = [\"send\"]")
        }
        guard !allow.contains(.plaintext) || allow.contains(.send) else {
            throw fail.at("allow", "plaintext is of use only with send")
        }
    }

    private static func capabilities(
        _ value: (any TOMLValueConvertible)?, _ fail: ConfigFailure
    ) throws(UserError) -> Set<Capability> {
        let words = Capability.allCases.map(\.rawValue).joined(separator: ", ")
        let list = value?.array.map { array in array.map { $0.string.flatMap(Capability.init(rawValue:)) } }
        guard let list, !list.isEmpty, case let known = list.compactMap(\.self), known.count == list.count
        else { throw fail.at("allow", "allow takes a list of \(words)") }
        return Set(known)
    }

    private static func people(
        _ value: (any TOMLValueConvertible)?, _ fail: ConfigFailure
    ) throws(UserError) -> Set<JID> {
        let list = value?.array.map { array in array.map { $0.string.flatMap(person) } }
        guard let list, !list.isEmpty, case let known = list.compactMap(\.self), known.count == list.count
        else { throw fail.at("to", "to takes a list of bare JIDs") }
        return Set(known)
    }

    private static func person(_ text: String) -> JID? { try? JID(parameter: text) }
}
