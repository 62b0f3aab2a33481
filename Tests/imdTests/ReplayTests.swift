// One text once, whichever ways it comes and however often (threat row 25).
import LocalAPI
import OMEMO
import Testing
import XMPP

@testable import imd

struct ReplayTests {
    enum Way: CaseIterable { case live, carbon, archive }

    /// Whichever is first.
    static let orders: [[Way]] = [
        [.live, .carbon, .archive, .archive, .archive],
        [.archive, .live, .archive, .carbon, .archive],
        [.carbon, .archive, .archive, .archive, .live],
    ]

    @Test(arguments: ProtocolVersion.allCases, orders)
    func `C25 live, as a carbon and three times from the archive it is one message and one event`(
        _ version: ProtocolVersion, _ order: [Way]
    ) async throws {
        for isEstablished in [false, true] {
            // Servers that do not archive for all give live messages no id.
            for stanzaID in ["7", nil] {
                let (alice, bob) = try await isEstablished ? Party.talking(version) : Party.friends(version)
                let message = try await alice.encrypt("hello", to: bob)
                let change = try await bob.changes {
                    for way in order { try await receive(message, way, stanzaID, alice, bob) }
                }
                #expect(change.new.filter { $0.hasPrefix("message: ") }.count == 1)
                #expect(change.new.filter { $0.hasPrefix("event: ") }.count == 1)
                #expect(try await bob.events(.message).last?.message?.body == "hello")
                #expect(try await bob.events(.undecryptable).isEmpty)
                #expect(try await bob.position == "7")
            }
        }
    }

    /// Nothing of the ratchet moves, and the sender is not answered again.
    @Test(arguments: ProtocolVersion.allCases, [false, true])
    func `C25 a repetition changes no row`(
        _ version: ProtocolVersion, _ isEstablished: Bool
    ) async throws {
        let (alice, bob) = try await isEstablished ? Party.talking(version) : Party.friends(version)
        let message = try await alice.encrypt("hello", to: bob)
        try await bob.receive(message, from: alice.jid)
        let change = try await bob.changes {
            for way in [Way.live, .carbon, .live] { try await receive(message, way, nil, alice, bob) }
        }
        #expect(change.isEmpty)
        #expect(try await bob.bodies().last == "hello")
    }

    private func receive(
        _ message: Element, _ way: Way, _ stanzaID: String?, _ alice: Party, _ bob: Party
    ) async throws {
        var message = message
        message["from"] = alice.jid.description + "/phone"
        message["to"] = bob.jid.description
        switch way {
        case .archive: try await bob.read((id: "7", stanza: message, from: alice.jid))
        case .live: try await bob.receive(message.known(as: stanzaID, to: bob), from: alice.jid)
        case .carbon:
            try await bob.receive(message.known(as: stanzaID, to: bob).copied, from: bob.jid)
        }
    }
}

extension Element {
    /// With the id that a party's archive gave it.
    fileprivate func known(as id: String?, to party: Party) -> Element {
        guard let id else { return self }
        var message = self
        message.append(
            Element("stanza-id", in: Namespace.stanzaIDs, ["by": party.jid.description, "id": id]))
        return message
    }

    /// As the server copies it to the other clients of who received it.
    fileprivate var copied: Element {
        let forwarded = Element("forwarded", in: Namespace.forward, [:], [self])
        let received = Element("received", in: Namespace.carbons, [:], [forwarded])
        return Element("message", in: Namespace.client, [:], [received])
    }
}
