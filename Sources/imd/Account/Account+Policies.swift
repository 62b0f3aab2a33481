// Policies, decisions from a file, and whether a chat must be encrypted.
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

extension Account {
    /// Takes over what the configuration file says now: messages that its policies let go are released, and a new label
    /// is published.
    func configure(_ config: Config) async {
        history = config.firstLoginHistory
        let isRenamed = label != config.deviceLabel
        label = config.deviceLabel
        policies = Policies(config.trust)
        _ = await releaseHeld(in: nil)
        if isRenamed, isOnline { Task { try? await publishDevice() } }
    }

    // MARK: Decisions in a file

    /// Every decision and every policy, by JID.
    func exportTrust() async throws -> TrustExport.Result {
        let account = own.account
        return try await store.read { tx in
            let devices = try tx.devices(account: account)
            let entries = try tx.decisions(account: account).map { decision in
                let device = devices.first {
                    $0.address.jid == decision.jid && $0.identityKey?.curve25519 == decision.key
                }
                return TrustEntry(
                    jid: decision.jid.description, fingerprint: decision.key.fingerprint,
                    trust: Trust(decision.level), label: device?.label)
            }
            let policies = try tx.policies(account: account).map {
                PolicyEntry(jid: $0.jid?.description, policy: Policy($0.policy))
            }
            return TrustExport.Result(entries: entries, policies: policies)
        }
    }

    /// Takes over decisions, also about keys that were never seen. All of it, or nothing where one is wrong.
    ///
    /// Nobody else is told: whoever keeps a file gives it to the other devices too.
    func importTrust(_ params: TrustImport.Params) async throws -> TrustImport.Result {
        let decisions = try params.entries.map { entry in
            KeyDecision(
                jid: try JID(parameter: entry.jid), key: try PublicKey(parameter: entry.fingerprint),
                level: TrustLevel(entry.trust))
        }
        let policies = try (params.policies ?? []).map { entry in
            (jid: try entry.jid.map { try JID(parameter: $0) }, policy: TrustPolicy(entry.policy))
        }
        for entry in policies { try checkFree(entry.jid) }
        let (own, now) = (own, Clock.now())
        let (changed, people) = try await store.write { tx in
            var changed = 0
            var others: [KeyDecision] = []
            for decision in decisions {
                let known = try tx.decision(account: own.account, jid: decision.jid, decision.key)
                if (known?.level ?? .undecided) != decision.level { others.append(decision) }
            }
            for entry in policies where try tx.policy(account: own.account, jid: entry.jid) != entry.policy {
                try tx.setPolicy(entry.policy, account: own.account, jid: entry.jid)
                changed += 1
            }
            let people = try Decisions(own: own, now: now).apply(others, source: .imported, tx).people
            return (changed + others.count, people)
        }
        let concerned = policies.isEmpty ? Array(people) : nil
        let (released, cancelled) = await releaseHeld(in: concerned)
        return TrustImport.Result(
            changed: Int64(changed), released: Int64(released), cancelled: Int64(cancelled))
    }

    // MARK: Chats

    func encryption(of name: String?) async throws -> ChatEncryption {
        let (own, policies) = (own, policies)
        let chat = try name.map { try JID(parameter: $0) }
        return try await store.read { tx in
            guard let chat else {
                let (policy, source) = try policies.policy(of: own, tx)
                return ChatEncryption(
                    required: false, policy: Policy(policy), policySource: PolicySource(source))
            }
            let (policy, source) = try policies.policy(for: chat, account: own, tx)
            let since = try tx.encryptedAt(account: own.account, chat: chat)
            let optOut = try tx.optOut(account: own.account, chat: chat)
            return ChatEncryption(
                jid: chat.description, required: since != nil,
                since: since.map { Timestamp(milliseconds: $0) },
                policy: Policy(policy), policySource: PolicySource(source),
                optedOut: optOut.map { OptedOut(reason: $0.reason, at: Timestamp(milliseconds: $0.at)) })
        }
    }

    /// A person's word on how a chat, or the account, is to be encrypted.
    func setEncryption(_ params: EncryptionSet.Params) async throws -> ChatEncryption {
        let chat = try params.jid.map { try JID(parameter: $0) }
        let setsPolicy = params.policy != nil || params.clearPolicy == true
        if setsPolicy { try checkFree(chat) }
        let (account, now) = (own.account, Clock.now())
        try await store.write { tx in
            if setsPolicy {
                try tx.setPolicy(params.policy.map { TrustPolicy($0) }, account: account, jid: chat)
            }
            guard let chat, let required = params.required else { return }
            // Either way somebody has answered to an opt-out.
            try tx.clearOptOut(account: account, chat: chat)
            if required {
                try tx.markEncrypted(account: account, chat: chat, now: now)
            } else {
                try tx.clearEncrypted(account: account, chat: chat)
            }
        }
        await releaseHeld(in: chat.map { [$0] })
        return try await encryption(of: params.jid)
    }

    /// What the configuration file says cannot be set here.
    private func checkFree(_ contact: JID?) throws(UserError) {
        guard let fixed = policies.fixed(for: contact, account: jid) else { return }
        throw UserError(
            .conflict, "the policy for \(contact ?? jid) is \(fixed.rawValue) in the configuration file",
            hint: "change it there; see imd(1), FILES")
    }
}

extension Policy {
    init(_ policy: TrustPolicy) { self = Policy(rawValue: policy.rawValue) ?? .verifiedOnly }
}

extension TrustPolicy {
    init(_ policy: Policy) { self = TrustPolicy(rawValue: policy.rawValue) ?? .verifiedOnly }
}

extension PolicySource {
    init(_ source: Policies.Source) { self = PolicySource(rawValue: source.rawValue) ?? .configuration }
}
