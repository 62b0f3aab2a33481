// An account as the API shows it.
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

extension Account {
    /// How it is, and what keeps it from storing anything.
    var report: (status: AccountStatus, storage: UserError?) { (status, storageFailure?.userError) }

    var status: AccountStatus {
        var status = AccountStatus(
            jid: jid.description, state: .offline, since: Timestamp(milliseconds: phaseChangedAt),
            device: own.device, fingerprint: own.identity.publicKey.fingerprint)
        switch phase {
        case .offline: break
        case .connecting(let error):
            status.state = .connecting
            status.reason = error?.userError
        case .failed(let error):
            status.state = .failed
            status.reason = error.userError
        case .online: status.state = .online
        }
        if let connection, let bound {
            status.resource = bound.jid.resourcepart
            status.server = "\(connection.endpoint.host):\(connection.endpoint.port)"
            status.tls = tlsVersion
            status.mechanism = bound.mechanism
            status.channelBinding = bound.channelBinding
            status.resumed = bound.resumed
            status.catchingUp = !archive.isDone
        }
        return status
    }

    func send(_ params: MessageSend.Params, _ turn: Turn) async throws -> MessageSend.Result {
        let request = SendRequest(
            chat: try JID(parameter: params.to), body: params.body, clientID: params.id,
            plaintext: params.plaintext ?? false, reactsTo: params.reactsTo)
        let accepted = try await accept(request, turn)
        if case .held? = accepted.outcome {
            return MessageSend.Result(accepted, now: accepted.message, account: jid)
        }
        let wanted = MessageState(params.wait ?? .queued)
        if wanted != .queued {
            await wait(for: accepted.message.id, until: wanted, timeout: .seconds(params.timeout ?? 30))
        }
        var message = accepted.message
        if wanted != .queued {
            let row = message.id
            // A failure here says nothing about the message, which is accepted.
            message = (try? await store.read { try $0.message(row: row) }) ?? message
        }
        return MessageSend.Result(accepted, now: message, account: jid)
    }

    func deviceList(of person: JID) async throws -> LocalAPI.DeviceList.Result {
        let devices = try await devices(of: person)
        let (own, policies) = (own, policies)
        let policy = try await store.read { try policies.policy(for: person, account: own, $0).policy }
        return LocalAPI.DeviceList.Result(
            jid: person.description, devices: devices.map { ShownDevice($0, own: own, policy: policy) },
            policy: Policy(policy))
    }

    // MARK: The outbox

    /// Takes back a message that has not left.
    func cancel(_ name: String) async throws -> ShownMessage {
        let (id, now) = (id, Clock.now())
        let message = try await store.write { tx in
            let message = try tx.message(named: name, account: id)
            guard try tx.cancel(message.id, now: now) else {
                throw UserError(
                    .conflict, "the message \"\(name)\" is \(message.state.rawValue)",
                    hint: "only a message that is still queued can be taken back")
            }
            return try tx.message(row: message.id) ?? message
        }
        waiters.reached(.failed, message: message.id)
        return message.shown(account: jid)
    }

    /// Queues a failed message again. It is encrypted anew: nobody could read what was made for it before.
    func retry(_ name: String) async throws -> ShownMessage {
        let (id, now) = (id, Clock.now())
        let message = try await store.write { tx in
            let message = try tx.message(named: name, account: id)
            guard try tx.requeue(message.id, evenIfSent: true, now: now) else {
                throw UserError(
                    .conflict, "the message \"\(name)\" is \(message.state.rawValue)",
                    hint: "only a message that failed can be tried again; others go on by themselves")
            }
            try tx.setAwaitsKeys(true, message: message.id)
            return try tx.message(row: message.id) ?? message
        }
        await retryAll()
        let row = message.id
        let current = (try? await store.read { try $0.message(row: row) }) ?? message
        return current.shown(account: jid)
    }

    /// Tries everything that waits now, over a new connection if need be.
    func retryAll() async {
        hurry()
        flush()
        if isOnline { await prepareQueued() }
    }

    /// Tells a contact that what it sent up to a message was read (XEP-0333), where it asked for that and may know
    /// about us.
    ///
    /// - Parameter name: nil for the newest message.
    func displayed(_ chat: JID, upTo name: String?) async throws -> ShownMessage {
        let (own, policies, now) = (own, policies, Clock.now())
        let message = try await store.write { tx in
            guard
                let message = try name.map({ try tx.message(named: $0, account: own.account) })
                    ?? tx.lastIncoming(account: own.account, chat: chat),
                message.chat == chat, message.direction == .in
            else {
                throw UserError(
                    .noSuchMessage, "no such message from \(chat)", hint: "see: imctl history \(chat)")
            }
            let inbound = Inbound(own: own, policies: policies, archive: Inbound.Archive(), now: now)
            if message.markable, try inbound.seesOurPresence(chat, tx) {
                let marker = ChatMarkers.displayed(id: message.messageID, to: chat)
                try tx.enqueue(account: own.account, stanza: marker.element.xml(), message: nil, now: now)
            }
            try tx.markRead(account: own.account, chat: chat, through: message.id)
            return message
        }
        flush()
        return message.shown(account: jid)
    }
}

extension MessageState {
    init(_ wait: MessageSend.Wait) {
        self =
            switch wait {
            case .queued: .queued
            case .sent: .sent
            case .server: .server
            case .delivered: .delivered
            case .displayed: .displayed
            }
    }
}
