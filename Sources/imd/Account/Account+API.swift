// An account as the API shows it.
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

extension Account {
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
        }
        return status
    }

    func send(_ params: MessageSend.Params, _ turn: Turn) async throws -> MessageSend.Result {
        let request = SendRequest(
            chat: try JID(parameter: params.to), body: params.body, clientID: params.id,
            plaintext: params.plaintext ?? false)
        let accepted = try await accept(request, turn)
        let wanted: MessageState =
            switch params.wait ?? .queued {
            case .queued: .queued
            case .server: .server
            case .delivered: .delivered
            }
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

    func deviceList(of person: JID) async throws -> [ShownDevice] {
        try await devices(of: person).map { device in
            let isOwn = person == jid && device.address.device == own.device
            return ShownDevice(
                device: device.address.device,
                fingerprint: isOwn ? own.identity.publicKey.fingerprint : device.identityKey?.fingerprint,
                trust: isOwn ? .verified : Trust(device.trust), active: device.isActive, own: isOwn,
                firstSeenAt: Timestamp(milliseconds: device.firstSeenAt),
                lastReceivedAt: device.lastReceivedAt.map { Timestamp(milliseconds: $0) })
        }
    }
}
