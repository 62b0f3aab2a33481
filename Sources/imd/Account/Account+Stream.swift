// An account's connection: opened, set up, kept, opened again (RFC 6120, RFC 6121 §2-4).
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

extension Account {
    /// Connects, and stays connected until `stop`. After one that is under way.
    func start() async {
        while isStopping, let driver { await driver.value }
        guard driver == nil else { return }
        setPhase(.connecting(nil))
        driver = Task { await run() }
    }

    /// Ends the connection in order, and takes what the server still acknowledges. The account stays as it is.
    func stop() async {
        guard let driver else { return setPhase(.offline) }
        isStopping = true
        retry?.cancel()
        if let connection {
            if bound != nil { send([OwnPresence.unavailable]) }
            await connection.close()
        } else {
            driver.cancel()
        }
        await driver.value
    }

    private func run() async {
        var backoff = Backoff()
        var random = SystemRandomNumberGenerator()
        while !isStopping {
            let (error, wasOnline) = await session()
            if isStopping { break }
            if wasOnline { backoff.reset() }
            let isNews =
                phase == .online || phase == .connecting(nil)
                || (error.isPermanent && phase != .failed(error))
            setPhase(error.isPermanent ? .failed(error) : .connecting(error))
            if isNews { await append(.account(AccountDetail(state: status.state, reason: error.userError))) }
            // Asking again with a password that was refused only locks the account.
            if error.isRefusal { break }
            // A certificate is renewed, and a file mended, without imd being told.
            let delay = max(backoff.next(using: &random), error.isPermanent ? .seconds(60) : .zero)
            log.info(
                "not connected", metadata: ["reason": "\(error.userError.message)", "retry": "\(delay)"])
            try? await Task.sleep(for: delay)
        }
        if isStopping { setPhase(.offline) }
        isStopping = false
        driver = nil
    }

    /// One stream, from the look-up of the server to its end.
    private func session() async -> (error: ConnectionError, wasOnline: Bool) {
        let connection: Connection
        do throws(ConnectionError) {
            let login = try await Credentials.login(jid, record.settings, pinned: record.pinnedMechanism)
            connection = try await Connection.open(login, on: group)
        } catch {
            return (error, false)
        }
        if isStopping {
            await connection.close()
            return (.closed, false)
        }
        self.connection = connection
        var (reason, wasOnline) = (ConnectionError.closed, false)
        var setUp: Task<Void, Never>?
        for await event in connection.events {
            switch event {
            case .bound(let bound, let tls):
                began(bound, tls: tls)
                setUp = Task { await self.setUp(connection) }
            case .stanzas(let stanzas): await received(stanzas, on: connection)
            case .acknowledged(let count): await acknowledged(count)
            case .closed(let error): reason = error
            }
            wasOnline = wasOnline || isOnline
        }
        setUp?.cancel()
        ended(reason)
        return (reason, wasOnline)
    }

    private func began(_ bound: BoundStream, tls: String?) {
        self.bound = bound
        tlsVersion = tls
        unacknowledged = Unacknowledged()
        lastSent = 0
        currentLists = [:]
        bundleFailures = [:]
        presences = [:]
        announcesStanzaIDs = false
        requests = PendingIQs(own: bound.jid)
        log.info("logged in", metadata: ["mechanism": "\(bound.mechanism)"])
    }

    private func ended(_ reason: ConnectionError) {
        connection = nil
        bound = nil
        for request in requests.removeAll() { request.fail(reason) }
    }

    /// What a new stream needs before messages flow: contacts, own keys published, presence.
    private func setUp(_ connection: Connection) async {
        do {
            await remember(mechanism: bound?.mechanism)
            async let roster: Void = fetchRoster()
            async let features: Void = discoverFeatures()
            async let device: Void = publishDevice()
            _ = try await (roster, features, device)
            guard !Task.isCancelled, connection === self.connection else { return }
            send([ownPresence.element])
            setPhase(.online)
            await append(.account(AccountDetail(state: .online, reason: nil)))
            flush()
            await prepareQueued()
            try await Task.sleep(for: .seconds(10))
            await announceAbsent()
        } catch is CancellationError {
            return
        } catch {
            guard connection === self.connection else { return }
            log.warning("setting the session up failed", metadata: ["reason": "\(error)"])
            await connection.close()
        }
    }

    private func discoverFeatures() async throws {
        guard let answer = try? await get(DiscoInfo.query(), from: jid),
            let payload = try? IQ.payload(answer), let info = try? DiscoInfo(payload)
        else { return }
        announcesStanzaIDs = info.supports(Namespace.stanzaIDs)
    }

    /// From now on a weaker offer is a downgrade (threat row 19).
    private func remember(mechanism: String?) async {
        guard let mechanism, mechanism != record.pinnedMechanism else { return }
        record.pinnedMechanism = mechanism
        let id = id
        try? await store.write { try $0.setPinnedMechanism(mechanism, account: id) }
    }
}
