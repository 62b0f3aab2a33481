// Whether an account's connection works, asked for real: for `imctl doctor` and the watchdog.
import LocalAPI
import Store
import XMPP

extension Account {
    func checks() async -> [DaemonCheck.Check] {
        guard isOnline, let bound else {
            let reason = status.reason
            return [
                check(
                    "connection", false, reason?.message ?? status.state.rawValue,
                    hint: reason?.hint ?? "connect it: imctl account connect \(jid)")
            ]
        }
        var checks = [
            check("connection", true, "online as \(bound.jid)" + (bound.resumed ? ", resumed" : ""))
        ]
        checks.append(await roundTrip())
        checks += featureChecks(bound)
        if let clock = await clockCheck() { checks.append(clock) }
        checks.append(await outboxCheck())
        return checks
    }

    /// Whether it is offline and says so, or has heard from its server in the last `interval`, or hears now. A server
    /// that stays silent for `patience` is left, and then the account is not online.
    func isAlive(since interval: Duration, patience: Duration) async -> Bool {
        // What cannot be stored is not read.
        guard isOnline, storageFailure == nil, let connection else { return true }
        guard Clock.uptime() - heardAt > Int64(interval / .milliseconds(1)) else { return true }
        let timer = Task {
            try await Task.sleep(for: patience)
            log.warning("the server is silent")
            connection.cut()
        }
        defer { timer.cancel() }
        do {
            try await get(Ping.query)
        } catch is StanzaError {
            return true
        } catch {
            return !isOnline || !(connection === self.connection)
        }
        return true
    }

    private func check(_ name: String, _ ok: Bool, _ detail: String, hint: String? = nil) -> DaemonCheck.Check
    {
        DaemonCheck.Check(name: "\(name) \(jid)", ok: ok, detail: detail, hint: ok ? nil : hint)
    }

    private func roundTrip() async -> DaemonCheck.Check {
        let began = ContinuousClock.now
        do {
            do { try await get(Ping.query) } catch is StanzaError {}
            let milliseconds = Int((ContinuousClock.now - began) / .milliseconds(1))
            return check("round-trip", true, "the server answered in \(milliseconds) ms")
        } catch {
            return check(
                "round-trip", false, "the server did not answer",
                hint: "see: imctl status; imd reconnects by itself")
        }
    }

    private func featureChecks(_ bound: BoundStream) -> [DaemonCheck.Check] {
        let wanted: [(name: String, has: Bool, what: String)] = [
            ("resumption", bound.resumptionID != nil, "stream resumption (XEP-0198)"),
            ("archive", features.archive, "message archive (XEP-0313)"),
            ("carbons", features.carbons, "message carbons (XEP-0280)"),
            ("pep", features.pep, "publishing of keys (XEP-0163)"),
        ]
        return wanted.map { feature in
            check(
                feature.name, feature.has,
                (feature.has ? "the server offers " : "the server lacks ") + feature.what,
                hint: "ask the server's operator to enable it")
        }
    }

    /// Nil where the server does not tell the time (XEP-0202).
    private func clockCheck() async -> DaemonCheck.Check? {
        guard let answer = try? await get(EntityTime.query, from: jid.domain),
            let payload = try? IQ.payload(answer), let time = try? EntityTime.time(payload)
        else { return nil }
        let difference = abs(Clock.now() - time) / 1000
        return check(
            "clock", difference < 60,
            difference < 60 ? "agrees with the server's" : "differs from the server's by \(difference) s",
            hint: "set the clock; certificates and times of messages depend on it")
    }

    private func outboxCheck() async -> DaemonCheck.Check {
        let id = id
        let waiting = (try? await store.read { try $0.pendingCount(account: id) }) ?? 0
        return check(
            "outbox", waiting == 0 || storageFailure == nil,
            waiting == 0 ? "empty" : "\(waiting) messages on their way",
            hint: "see: imctl outbox list")
    }
}
