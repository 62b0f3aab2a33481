// Stream management turned on, or a broken stream taken up again (XEP-0198 §3, §5).

extension ClientStream {
    /// An SM-ID should not be longer (§5); a location has no reason to be.
    private static let maxIDLength = 4_000
    private static let maxLocationLength = 1_100

    // MARK: Resuming

    /// After the login: the former stream if there is one, else a new one.
    mutating func resumeOrBind(_ features: StreamFeatures, _ login: Login) -> [Action] {
        guard let resumption = configuration.resumption else { return bind(features, login) }
        guard features.contains("sm", in: Namespace.streamManagement),
            resumption.jid.bare == configuration.jid
        else { return [.resumptionFailed(acknowledged: 0)] + bind(features, login) }
        state = .resuming(login, features, resumption)
        return [.send(resumption.element.xml())]
    }

    mutating func receivedResumed(
        _ element: Element, _ login: Login, _ features: StreamFeatures, _ resumption: Resumption
    ) -> [Action] {
        if element.is("failed", in: Namespace.streamManagement) {
            // §5: its `h` says what arrived before the session was given up. It decides nothing on this
            // stream, so one that cannot be true is left aside.
            let h: UInt32? = (try? element.optional("h")) ?? nil
            let acknowledged = h.flatMap { try? resumption.newlyAcknowledged(by: $0) } ?? 0
            return [.resumptionFailed(acknowledged: acknowledged)] + bind(features, login)
        }
        guard element.is("resumed", in: Namespace.streamManagement) else {
            return violation("\(element.name) before the stream is resumed")
        }
        guard element["previd"] == resumption.id, let h: UInt32 = try? element.required("h") else {
            return violation("another stream was resumed", .badFormat)
        }
        do throws(StreamManagement.HandledCountTooHigh) {
            let acknowledged = try resumption.newlyAcknowledged(by: h)
            let bound = BoundStream(resumption, features, login)
            state = .established(
                Established(management: StreamManagement(sent: h, handled: resumption.handled), uncounted: 0))
            // First what became of the stanzas sent before: the owner sends the rest again.
            return (acknowledged > 0 ? [.acknowledged(count: acknowledged)] : []) + [.bound(bound)]
        } catch {
            return fail(error)
        }
    }

    // MARK: Enabling

    /// Asks for a stream that can be resumed.
    mutating func enable(_ bound: BoundStream) -> [Action] {
        guard bound.features.contains("sm", in: Namespace.streamManagement) else {
            return establish(bound)
        }
        state = .enabling(bound)
        return [.send(Element("enable", in: Namespace.streamManagement, ["resume": "true"]).xml())]
    }

    mutating func receivedEnabled(_ element: Element, _ bound: BoundStream) -> [Action] {
        if element.is("enabled", in: Namespace.streamManagement) {
            var bound = bound
            bound.streamManagement = true
            if (try? element.flag("resume")) == true, let id = element["id"], !id.isEmpty,
                id.utf8.count <= Self.maxIDLength
            {
                bound.resumptionID = id
                bound.location = element["location"].flatMap {
                    $0.isEmpty || $0.utf8.count > Self.maxLocationLength ? nil : $0
                }
                bound.maxSeconds = element["max"].flatMap { UInt32($0) }.map { Int($0) }
            }
            return establish(bound)
        }
        // §6: the stream is as good as before, only uncounted.
        if element.is("failed", in: Namespace.streamManagement) { return establish(bound) }
        return keep(element)
    }
}

extension BoundStream {
    fileprivate init(_ resumption: Resumption, _ features: StreamFeatures, _ login: ClientStream.Login) {
        self.init(
            jid: resumption.jid, features: features, streamManagement: true, mechanism: login.mechanism.name,
            channelBinding: login.channelBinding?.rawValue, resumed: true, resumptionID: resumption.id,
            location: resumption.location, maxSeconds: resumption.maxSeconds)
    }
}
