// Runs a stream against a play in which the client, the server and the application speak in turn.

import IMCrypto
import Testing

@testable import XMPP

/// Plays a transcript: `C:` what the client must do, `S:` what the server sends, `A:` what the application
/// asks for. Each line is one write. In XML, `{text}` stands for the text in base64 and `(header)` for a stream
/// header. The client's other actions are in parentheses, its ways out with the words shown to people.
///
/// - Parameters:
///   - bindings: what `A: TLS` reports.
///   - chunkSize: how many bytes of the server's the parser gets at once; nil for whole lines.
///   - limits: the parser's.
func expectTranscript(
    _ stream: inout ClientStream, _ transcript: String, bindings: ChannelBindings = .none,
    chunkSize: Int? = nil, limits: XMLParser.Limits = .init(),
    sourceLocation: SourceLocation = #_sourceLocation
) {
    var player = TranscriptPlayer(stream: stream, bindings: bindings, chunkSize: chunkSize, limits: limits)
    for line in transcript.split(separator: "\n").map({ $0.drop { $0 == " " } }) where !line.isEmpty {
        let text = String(line.dropFirst(2).drop { $0 == " " })
        if line.hasPrefix("C:") {
            let did = player.done.isEmpty ? "(nothing)" : player.done.removeFirst()
            let expected = player.expanded(text)
            #expect(did == expected, sourceLocation: sourceLocation)
            continue
        }
        #expect(player.done == [], "before \(line)", sourceLocation: sourceLocation)
        player.done = []
        if line.hasPrefix("S:") {
            player.serverSends(text)
        } else if line.hasPrefix("A:"), player.applicationSays(text) {
        } else {
            Issue.record("cannot play \(line)", sourceLocation: sourceLocation)
        }
    }
    #expect(player.done == [], "at the end", sourceLocation: sourceLocation)
    stream = player.stream
}

private struct TranscriptPlayer {
    var stream: ClientStream
    let bindings: ChannelBindings
    let chunkSize: Int?
    let parser: XMLParser
    var done: [String] = []
    private var isEncrypted = false

    init(stream: ClientStream, bindings: ChannelBindings, chunkSize: Int?, limits: XMLParser.Limits) {
        self.stream = stream
        self.bindings = bindings
        self.chunkSize = chunkSize
        parser = XMLParser(limits: limits)
    }

    mutating func serverSends(_ text: String) {
        let bytes = Bytes(
            expanded(text, serverHeader).utf8)
        let size = chunkSize ?? max(bytes.count, 1)
        for start in stride(from: 0, to: bytes.count, by: size) {
            do throws(XMLError) {
                let events = try parser.feed(Bytes(bytes[start..<min(start + size, bytes.count)]))
                for event in events { perform(stream.received(event)) }
            } catch {
                for event in parser.takeCompleted() { perform(stream.received(event)) }
                perform(stream.received(error))
            }
        }
    }

    mutating func applicationSays(_ text: String) -> Bool {
        let words = text.split(separator: " ")
        let count = words.count > 1 ? Int(words[1]) ?? 0 : 0
        switch words.first {
        case "connected": perform(stream.connected())
        case "TLS":
            isEncrypted = true
            perform(stream.tlsEstablished(bindings))
        case "send":
            perform(stream.send((0..<count).map { Bytes("<message id='\($0)'/>".utf8) }))
        case "stored": perform(stream.stored(count))
        case "ask": perform(stream.requestAck())
        case "close": perform(stream.close())
        case "disconnected": perform(stream.disconnected())
        case "abandon": perform(stream.abandon(.timeout))
        default: return false
        }
        return true
    }

    private mutating func perform(_ actions: [ClientStream.Action]) {
        for action in actions {
            switch action {
            case .send(let bytes): done.append(String(decoding: bytes, as: UTF8.self))
            case .startTLS: done.append("(TLS)")
            case .restartParser: parser.reset()
            case .bound(let bound):
                done.append(
                    "(\(bound.resumed ? "resumed" : "bound") \(bound.jid) \(bound.mechanism)"
                        + (bound.channelBinding.map { " \($0)" } ?? "")
                        + (bound.streamManagement ? " counted)" : " uncounted)"))
            case .stanza(let element):
                done.append("(stanza \(String(decoding: element.xml(), as: UTF8.self)))")
            case .discarded(let element, let error):
                done.append("(discarded \(String(decoding: element.xml(), as: UTF8.self)) \(error))")
            case .resumptionFailed(let count): done.append("(not resumed, acknowledged \(count))")
            case .acknowledged(let count): done.append("(acknowledged \(count))")
            case .close(let failure): done.append("(close: \(failure))")
            }
        }
    }

    private let serverHeader =
        "<?xml version='1.0'?><stream:stream from='example.org' id='s1' version='1.0' xml:lang='en'"
        + " xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"

    func expanded(_ text: String) -> String {
        expanded(
            text,
            "<?xml version='1.0'?><stream:stream" + (isEncrypted ? " from='user@example.org'" : "")
                + " to='example.org' version='1.0' xml:lang='en' xmlns='jabber:client'"
                + " xmlns:stream='http://etherx.jabber.org/streams'>")
    }

    private func expanded(_ text: String, _ header: String) -> String {
        guard text.hasPrefix("<") || text == "(header)" || text.contains("{") else { return text }
        var result = ""
        var rest = Substring(text == "(header)" ? header : text.replacing("(header)", with: header))
        while let open = rest.firstIndex(of: "{"), let close = rest[open...].firstIndex(of: "}") {
            result += rest[..<open]
            result += Base64.encode(Bytes(rest[rest.index(after: open)..<close].utf8))
            rest = rest[rest.index(after: close)...]
        }
        return result + rest
    }
}
