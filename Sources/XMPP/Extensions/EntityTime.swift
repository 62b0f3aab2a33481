// What time it is elsewhere (XEP-0202).

extension Namespace {
    /// Entity time.
    public static let time = "urn:xmpp:time"
}

/// Asking for and telling the time.
public enum EntityTime {
    /// The payload of a request of type `get`.
    public static let query = Element("time", in: Namespace.time)

    /// Reads the answer; where that clock is, in which time zone, is not asked.
    ///
    /// - Returns: Unix milliseconds.
    public static func time(_ payload: Element) throws(CodecError) -> Int64 {
        try payload.expect("time", in: Namespace.time)
        let utc = try payload.required(child: "utc", in: Namespace.time).text
        guard let time = DateTime.parse(utc) else { throw .invalid("utc") }
        return time
    }

    /// The answer if the stanza asks for the time and its sender may know, else nil: then the default answer
    /// is due. It says UTC for the time zone, which would tell where we are (§5).
    ///
    /// - Parameters:
    ///   - mayKnow: whether the sender may see our presence.
    ///   - now: Unix milliseconds.
    public static func answer(to iq: Element, mayKnow: Bool, now: Int64) -> Element? {
        guard mayKnow, iq.stanzaKind == .iq, iq.type == "get", iq.id != nil,
            let payload = try? IQ.payload(iq), payload.is("time", in: Namespace.time)
        else { return nil }
        return IQ.result(
            of: iq,
            Element(
                "time", in: Namespace.time, [:],
                [
                    Element("tzo", in: Namespace.time, text: "+00:00"),
                    Element("utc", in: Namespace.time, text: DateTime.format(now)),
                ]))
    }
}
