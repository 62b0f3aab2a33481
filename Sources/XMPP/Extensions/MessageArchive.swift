// What the server kept while nobody was there (XEP-0313), page by page (XEP-0059).

extension Namespace {
    /// Message archive management; also the feature a server announces.
    public static let archive = "urn:xmpp:mam:2"
    /// Result sets, delivered in pages.
    public static let resultSets = "http://jabber.org/protocol/rsm"
}

/// A request for one page of an archive, in the order of its messages.
public struct ArchiveQuery: Equatable, Sendable {
    /// Where the page begins.
    public enum Start: Equatable, Sendable {
        /// Behind the message with that archive id. If the archive has none such, it answers
        /// `item-not-found`.
        case after(String)
        /// With the first message that is not older; Unix milliseconds.
        case since(Int64)
        /// So that it ends with the newest message.
        case newest
    }

    /// Marks the results; one that nobody can guess, or strangers could add theirs.
    public var queryID: String
    /// Where the page begins.
    public var start: Start
    /// At most so many messages; the server may give fewer.
    public var max: Int

    /// A request.
    public init(queryID: String, start: Start, max: Int) {
        self.queryID = queryID
        self.start = start
        self.max = max
    }

    /// The payload of a set to the archive.
    public var element: Element {
        var query = Element("query", in: Namespace.archive, ["queryid": queryID])
        var set = Element(
            "set", in: Namespace.resultSets, [:],
            [Element("max", in: Namespace.resultSets, text: String(max))])
        switch start {
        case .after(let id): set.append(Element("after", in: Namespace.resultSets, text: id))
        case .since(let at):
            query.append(DataForm(submitting: Namespace.archive, ["start": DateTime.format(at)]).element)
        case .newest: set.append(Element("before", in: Namespace.resultSets))
        }
        query.append(set)
        return query
    }
}

/// One message out of an archive. It is never answered: that was due when it came.
public struct ArchivedMessage: Equatable, Sendable {
    /// The archive's name for it, the same as its `<stanza-id/>` when it came live.
    public var id: String
    /// The message, believed because of who wrapped it.
    public var message: Element
    /// When the archive got it, if it said so; Unix milliseconds, not later than now.
    public var sentAt: Int64

    /// Whether the stanza claims to be out of an archive; everybody can send one.
    public static func isClaimed(by stanza: Element) -> Bool {
        stanza.stanzaKind == .message && stanza.child("result", in: Namespace.archive) != nil
    }

    /// Unwraps a result of a query that is under way.
    ///
    /// Believed is only what comes from the archive that was asked, for the question that was asked
    /// (CVE-2019-16237 and others).
    ///
    /// - Parameters:
    ///   - queryID: of the query under way; nil without one.
    ///   - archive: the own bare JID. Its results may come without `from`.
    ///   - receivedAt: when the stanza arrived, Unix milliseconds.
    /// - Returns: nil if the stanza does not claim to be out of an archive.
    /// - Throws: `.unexpected("from")` or `.unexpected("queryid")` for one that is forged or nobody waits for;
    ///   other errors for a malformed one. Drop it whole.
    public static func unwrap(
        _ stanza: Element, queryID: String?, archive: JID, receivedAt: Int64
    ) throws(CodecError) -> ArchivedMessage? {
        guard isClaimed(by: stanza) else { return nil }
        guard stanza.isFromOwnAccount(archive) else { throw .unexpected("from") }
        let result = try stanza.onlyChild("result", in: Namespace.archive)
        guard let queryID, result["queryid"] == queryID else { throw .unexpected("queryid") }
        let id = try result.required("id")
        if id.isEmpty { throw .invalid("id") }
        let forwarded = try result.onlyChild("forwarded", in: Namespace.forward)
        let message = try forwarded.onlyChild("message", in: Namespace.client)
        guard !isClaimed(by: message) else { throw .unexpected("result") }
        guard message.from != nil else { throw .invalid("from") }
        return ArchivedMessage(
            id: id, message: message,
            sentAt: DelayedDelivery.sentAt(inside: forwarded, receivedAt: receivedAt))
    }
}

/// The end of a page, `<fin/>`: the payload of the reply to the query. Who sent it the reply's acceptance has
/// decided (``PendingIQs``).
public struct ArchivePage: Equatable, Sendable {
    /// Whether the archive has no more messages in this direction.
    public var isComplete: Bool
    /// The archive ids of the page's oldest and newest message; nil if it is empty.
    public var first: String?
    /// See ``first``. The next page begins behind it.
    public var last: String?
    /// About how many messages there are in all, if the server said so.
    public var count: Int?

    /// Reads the payload.
    /// - Throws: also for an empty page that is not the end, as nothing could follow it.
    public init(_ payload: Element) throws(CodecError) {
        try payload.expect("fin", in: Namespace.archive)
        isComplete = try payload.flag("complete")
        let set = payload.child("set", in: Namespace.resultSets)
        let text = { (name: String) in
            set?.child(name, in: Namespace.resultSets).flatMap { $0.text.isEmpty ? nil : $0.text }
        }
        first = text("first")
        last = text("last")
        count = text("count").flatMap { UInt32($0) }.map { Int($0) }
        if !isComplete && last == nil { throw .missing("last") }
    }
}
