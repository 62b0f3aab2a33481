// What imd answers to requests of others (RFC 6120 §8.2.3, XEP-0030, XEP-0092, XEP-0199, XEP-0202).
import LocalAPI
import XMPP

enum Answers {
    private static let software = SoftwareVersion(name: "imd", version: LocalAPI.version)

    /// - Parameter mayKnow: whether the sender may see our presence; others learn nothing but that we are XMPP.
    /// - Returns: nil where nothing may be answered.
    static func answer(_ iq: Element, mayKnow: Bool, now: Int64) -> Element? {
        if let answer = Ping.answer(to: iq) { return answer }
        if let answer = software.answer(to: iq, mayKnow: mayKnow) { return answer }
        if let answer = EntityTime.answer(to: iq, mayKnow: mayKnow, now: now) { return answer }
        return disco(iq) ?? IQ.defaultAnswer(to: iq)
    }

    /// Asked by servers, to know which PEP events to push; the node is the one of our caps (XEP-0115 §6.2).
    private static func disco(_ iq: Element) -> Element? {
        guard iq.type == "get", let query = try? IQ.payload(iq), query.is("query", in: Namespace.discoInfo)
        else {
            return nil
        }
        var info = OwnPresence.disco
        info.node = query["node"]
        guard info.node == nil || info.node == OwnPresence.capabilities?.queryNode else {
            return IQ.error(of: iq, StanzaError(.itemNotFound))
        }
        return IQ.result(of: iq, info.element)
    }
}
