// What a bot's command printed, as messages to send.

import LocalAPI

/// One message that a command wants to be sent.
struct BotReply: Equatable {
    /// nil for the chat that the message came from.
    var to: String?
    var body: String
    /// The body, emojis, is a reaction to the message that came.
    var isReaction = false

    /// Why an output is no reply; never quotes it.
    struct Problem: Error, Equatable { let reason: String }

    /// Output is text: one reply, one line end at its end removed; nothing is no reply.
    static func text(_ output: [UInt8]) throws(Problem) -> [BotReply] {
        var bytes = output[...]
        if bytes.last == 0x0a { bytes = bytes.dropLast() }
        guard !bytes.isEmpty else { return [] }
        guard let body = String(validating: bytes, as: UTF8.self) else {
            throw Problem(reason: "its output is not UTF-8")
        }
        return [try BotReply(body: body).checked("its output")]
    }

    /// Output is JSON: objects or arrays of them, one of either per line.
    static func json(_ output: [UInt8]) throws(Problem) -> [BotReply] {
        var replies: [BotReply] = []
        for (index, line) in output.split(separator: 0x0a, omittingEmptySubsequences: false).enumerated()
        where !line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0d }) {
            let place = "line \(index + 1) of its output"
            let value: JSONValue
            do {
                value = try JSONValue(strict: Array(line))
            } catch {
                throw Problem(reason: "\(place) is not valid JSON (byte \(error.offset))")
            }
            guard case .array(let elements) = value else {
                replies.append(try BotReply(value, place))
                continue
            }
            for element in elements { replies.append(try BotReply(element, place)) }
        }
        return replies
    }

    private init(_ json: JSONValue, _ place: String) throws(Problem) {
        guard case .object(let members) = json else {
            throw Problem(reason: "\(place) is \(json.kind), not an object")
        }
        for member in members {
            switch member.key {
            case "body", "to", "reaction":
                guard member.value.string != nil else {
                    throw Problem(reason: "\"\(member.key)\" in \(place) is not a string")
                }
            default:
                throw Problem(reason: "\(place) has a member that is none of \"to\", \"body\", \"reaction\"")
            }
        }
        if let emojis = json["reaction"]?.string {
            guard members.count == 1 else {
                throw Problem(
                    reason: "\(place) has more than its \"reaction\", which is to the message that came")
            }
            self = try BotReply(body: emojis, isReaction: true).checked(place)
            return
        }
        guard let body = json["body"]?.string else { throw Problem(reason: "\(place) has no \"body\"") }
        self = try BotReply(to: json["to"]?.string, body: body).checked(place)
    }

    init(to: String? = nil, body: String, isReaction: Bool = false) {
        self.to = to
        self.body = body
        self.isReaction = isReaction
    }

    /// What imd would refuse is found before the first of several messages is sent.
    private func checked(_ place: String) throws(Problem) -> BotReply {
        if let to, !to.utf8.contains(0x40) || to.utf8.contains(0x2f) {
            throw Problem(reason: "\"to\" in \(place) is no address, user@host")
        }
        do {
            try MessageSend.validate(.init(to: to ?? "", body: body, reactsTo: isReaction ? "its own" : nil))
        } catch {
            throw Problem(reason: "\(place): \(error.message)")
        }
        return self
    }

    /// The idempotency key of a reply: handling a message again sends nothing again.
    static func id(_ consumer: String, _ number: Int64, _ index: Int, isReaction: Bool = false) -> String {
        "bot:\(consumer):\(number):\(isReaction ? "r" : "")\(index)"
    }
}
