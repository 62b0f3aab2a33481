// What a hook gets to know beside the event on its standard input: a few variables, and ids of harmless characters.
import LocalAPI
import XMPP

enum HookEnvironment {
    private static let names: Set<String> = [
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY",
        "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK",
    ]

    /// What of the daemon's own environment is passed on, as `NAME=VALUE`.
    static func base(_ environment: [String: String]) -> [String] {
        environment.filter { names.contains($0.key) || $0.key.hasPrefix("XDG_") }
            .map { "\($0.key)=\($0.value)" }.sorted()
    }

    /// Number, type, account and chat of an event.
    static func ids(of event: JSONValue) -> [String] {
        var ids: [String] = []
        if let number = event["number"]?.integer { ids.append("IMD_EVENT_NUMBER=\(number)") }
        if let type = event["type"]?.string.flatMap(EventType.init(rawValue:)) {
            ids.append("IMD_EVENT_TYPE=\(type.rawValue)")
        }
        if let account = jid(event["account"]) { ids.append("IMD_ACCOUNT=\(account)") }
        if let chat = jid(event["chat"]) ?? jid(event["from"]) { ids.append("IMD_CHAT=\(chat)") }
        return ids
    }

    /// A JID may hold `$` and `;`: one that could mean something to a careless script is in the event alone.
    private static func jid(_ value: JSONValue?) -> String? {
        guard let text = value?.string, let jid = try? JID(text), jid.isBare, jid.description == text,
            text.utf8.allSatisfy({ byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x80...0xff: true
                case 0x2d, 0x2e, 0x5f, 0x2b, 0x40, 0x25, 0x3a, 0x5b, 0x5d: true
                default: false
                }
            }), text.first != "-"
        else { return nil }
        return text
    }
}
