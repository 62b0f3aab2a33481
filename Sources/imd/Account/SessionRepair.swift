// A session row that is not what was saved: one lost session, not a lost account (fault row F7).
import LocalAPI
import OMEMO
import Store

extension Transaction {
    /// The session with a device; nil without one, and where its row is damaged. Then it is deleted and an event
    /// tells so: the next message starts a new session.
    func usableSession(
        with address: DeviceAddress, _ version: ProtocolVersion, account: Int64, now: Int64
    ) throws -> SessionRecord? {
        do {
            return try session(account: account, address, version)
        } catch StoreError.corrupt(let what) {
            try removeSessions(account: account, address, version)
            let error = UserError(
                .storage, "the session with a device of \(address.jid) was damaged: \(what)",
                hint: "a new one is started with the next message")
            try append(.error(error), account: account, chat: address.jid, now: now)
            return nil
        }
    }
}
