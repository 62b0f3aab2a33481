// Stream errors as elements, and failures as words.

import Testing

@testable import XMPP

@Suite struct StreamErrorTests {
    @Test(arguments: StreamError.Condition.allCases)
    func `every condition survives the wire`(_ condition: StreamError.Condition) throws {
        let error = StreamError(condition, text: "a text", application: Element("x", in: "urn:example"))
        #expect(try StreamError(error.element) == error)
    }

    @Test func `see-other-host keeps its host`() throws {
        let element = Element(
            "error", in: Namespace.streams, [:],
            [Element("see-other-host", in: Namespace.streamErrors, text: "host:9222")])
        let error = try StreamError(element)
        #expect(error.otherHost == "host:9222")
        #expect(try StreamError(error.element) == error)
    }

    @Test func `an unknown or missing condition is undefined`() throws {
        let unknown = Element(
            "error", in: Namespace.streams, [:], [Element("new-thing", in: Namespace.streamErrors)])
        #expect(try StreamError(unknown).condition == .undefinedCondition)
        #expect(try StreamError(Element("error", in: Namespace.streams)).condition == .undefinedCondition)
        #expect(throws: CodecError.unexpected("error")) {
            try StreamError(Element("error", in: Namespace.client))
        }
    }

    @Test func `a wrong password is not tried again, a busy server is`() {
        let permanent: [StreamFailure] = [
            .authentication(condition: "not-authorized", text: nil), .tlsNotOffered, .serverSignature, .nonce,
            .downgrade(pinned: "SCRAM-SHA-256-PLUS", offered: []), .certificate("expired"),
            .mechanismsTooWeak(["PLAIN"]), .iterationCount(1), .stream(StreamError(.conflict)),
            .bind(StanzaError(.notAllowed)),
        ]
        let transient: [StreamFailure] = [
            .authentication(condition: "temporary-auth-failure", text: nil), .connectionLost, .timeout,
            .closedByServer, .stream(StreamError(.systemShutdown)), .bind(StanzaError(.conflict)),
            .bind(StanzaError(.resourceConstraint)), .unreachable("no route"),
        ]
        for failure in permanent { #expect(failure.isPermanent, "\(failure)") }
        for failure in transient { #expect(!failure.isPermanent, "\(failure)") }
    }

    @Test func `the server's words cannot reach the terminal as commands`() {
        let hostile = "\u{1B}]52;c;x\u{7}\r\n\u{9B}2J\u{202E}" + String(repeating: "x", count: 10_000)
        for failure: StreamFailure in [
            .stream(StreamError(.reset, text: hostile)), .authentication(condition: hostile, text: hostile),
            .seeOtherHost(hostile), .mechanismsTooWeak([hostile]), .unsupportedVersion(hostile),
            .protocolViolation(hostile), .downgrade(pinned: hostile, offered: [hostile]),
        ] {
            let words = failure.description
            #expect(words.unicodeScalars.count < 600)
            #expect(
                words.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x9B && $0.value != 0x202E }
            )
        }
    }
}
