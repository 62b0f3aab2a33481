// A message that the API hands over: stored once, encrypted at once where that can be.
import LocalAPI
import OMEMO
import Store
import XMPP

extension Outbound {
    /// Stores the message, or finds the one that the caller's key stands for, and encrypts it where `mayEncrypt`
    /// and nothing before it in the chat still waits.
    func accept(_ request: SendRequest, mayEncrypt: Bool, _ tx: Transaction) throws -> Accepted {
        if let known = try known(request, tx) {
            // What never left may be tried again; anything else goes out once.
            guard known.state == .failed, try tx.requeue(known.id, now: now) else {
                return Accepted(message: known, isDuplicate: true)
            }
            if known.plaintext { try checkPlaintext(known.chat, tx) }
            return try enqueue(tx.message(row: known.id) ?? known, mayEncrypt: mayEncrypt, tx)
        }
        if request.plaintext { try checkPlaintext(request.chat, tx) }
        let reactsTo = try request.reactsTo.map { try reference(to: $0, in: request.chat, tx) }
        var random = SystemRandomNumberGenerator()
        let message = try tx.insertOutgoing(
            NewOutgoing(
                account: own.account, messageID: StanzaID.random(using: &random), chat: request.chat,
                sender: own.jid, body: request.body, clientID: request.clientID, plaintext: request.plaintext,
                reactsTo: reactsTo, at: now))
        return try enqueue(message, mayEncrypt: mayEncrypt, tx)
    }

    /// What was encrypted once stays encrypted until a person clears it for that chat (threat row 29).
    private func checkPlaintext(_ chat: JID, _ tx: Transaction) throws {
        if try tx.isEncrypted(account: own.account, chat: chat) { throw UserError.encryptionRequired(chat) }
    }

    /// How the message that is reacted to is called on the wire.
    ///
    /// - Throws: `.noSuchMessage`, also for one whose sender gave it no id, and for a damaged one.
    private func reference(to name: String, in chat: JID, _ tx: Transaction) throws -> String {
        guard let message = try tx.message(account: own.account, chat: chat, named: name),
            !message.messageID.isEmpty, !message.isDamaged
        else { throw UserError.noMessage(name, in: chat) }
        return message.messageID
    }

    private func isSameReference(
        _ known: StoredMessage, _ request: SendRequest, _ tx: Transaction
    ) throws -> Bool {
        guard let name = request.reactsTo, let reactsTo = known.reactsTo else {
            return request.reactsTo == nil && known.reactsTo == nil
        }
        if name == reactsTo { return true }
        return try tx.message(account: own.account, chat: request.chat, named: name)?.messageID == reactsTo
    }

    private func known(_ request: SendRequest, _ tx: Transaction) throws -> StoredMessage? {
        guard let clientID = request.clientID,
            let known = try tx.message(account: own.account, clientID: clientID)
        else { return nil }
        guard known.chat == request.chat, known.body == request.body, known.plaintext == request.plaintext,
            try isSameReference(known, request, tx)
        else {
            throw UserError(
                .conflict, "the id '\(clientID)' was used for another message",
                hint: "give every message an id of its own")
        }
        return known
    }

    private func enqueue(_ message: StoredMessage, mayEncrypt: Bool, _ tx: Transaction) throws -> Accepted {
        guard mayEncrypt || message.plaintext else { return try enqueueLater(message, tx) }
        // It has its place behind what still waits in the chat.
        guard try !tx.hasWaiting(account: own.account, chat: message.chat) else {
            return try enqueueLater(message, tx)
        }
        let outcome = try makeStanza(message, tx)
        switch outcome {
        case .needs: return try enqueueLater(message, tx)
        case .held, .damaged:
            return Accepted(message: try tx.message(row: message.id) ?? message, outcome: outcome)
        case .enqueued, .noTrustedDevice, .optedOut, .encryptionRequired:
            return Accepted(message: message, outcome: outcome)
        }
    }

    private func enqueueLater(_ message: StoredMessage, _ tx: Transaction) throws -> Accepted {
        try tx.setAwaitsKeys(true, message: message.id)
        return Accepted(message: message)
    }

    private func makeStanza(_ message: StoredMessage, _ tx: Transaction) throws -> Outcome {
        message.plaintext ? try enqueuePlaintext(message, tx) : try encrypt(message, tx)
    }

    /// Makes the stanzas of the chat's waiting messages in order, as far as keys are there; also of those that wait for
    /// a person's decision, which may have come.
    func encryptWaiting(
        in chat: JID, _ tx: Transaction
    ) throws -> (outcomes: [Int64: Outcome], missing: [BundleKey]) {
        var outcomes: [Int64: Outcome] = [:]
        var held: Outcome?
        for message in try tx.messagesWaiting(account: own.account, chat: chat) {
            let isText = message.reactsTo == nil
            if let held, isText, !message.plaintext, message.state == .held {
                // Nothing is decided yet, so neither for this one.
                outcomes[message.id] = held
                continue
            }
            let outcome = try makeStanza(message, tx)
            // Reactions go to fewer devices: that one is held says nothing of texts.
            if case .held = outcome, isText { held = outcome }
            switch outcome {
            case .needs(let missing): return (outcomes, missing)
            case .enqueued(let delivery):
                try tx.setAwaitsKeys(false, message: message.id)
                // Whoever sent it may have had the answer before.
                if !delivery.excluded.isEmpty, message.state == .queued {
                    try tx.tellState(message.id, now: now)
                }
            case .held, .noTrustedDevice, .optedOut, .encryptionRequired, .damaged: break
            }
            outcomes[message.id] = outcome
        }
        return (outcomes, [])
    }
}

extension UserError {
    static func noMessage(_ name: String, in chat: JID) -> UserError {
        UserError(
            .noSuchMessage, "no message with the id \"\(name)\" in the chat with \(chat)",
            hint: "see: imctl history \(chat) --json")
    }

    static func encryptionRequired(_ chat: JID) -> UserError {
        UserError(
            .encryptionRequired, "the chat with \(chat) is encrypted",
            hint: "to allow plaintext there: imctl encryption \(chat) --optional")
    }
}
