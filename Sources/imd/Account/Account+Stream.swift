// An account's connection: opened, set up or resumed, kept, opened again (RFC 6120, RFC 6121 §2-4, XEP-0198 §5).
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
        isLeaving = false
        setPhase(.connecting(nil))
        driver = Task { await run() }
    }

    /// Ends the connection in order, and takes what the server still acknowledges. The account stays as it is.
    func stop() async {
        rotation?.cancel()
        guard let driver else { return setPhase(.offline) }
        isStopping = true
        retry?.cancel()
        pause?.cancel()
        if let connection {
            if bound != nil { send([OwnPresence.unavailable]) }
            await connection.close()
        } else {
            driver.cancel()
        }
        await driver.value
    }

    /// Ends the connection: the next one is as the user says now.
    func change(_ new: AccountRecord) async {
        await stop()
        record.settings = new.settings
        record.pinnedMechanism = new.pinnedMechanism
    }

    /// Connects at once where that is being waited for.
    func hurry() { pause?.cancel() }

    /// An address, a route or a link came or went: a connection over it may be dead without anybody saying so.
    func networkChanged() {
        hurry()
        guard let connection else { return }
        guard connection.hasLocalAddress else { return connection.cut() }
        if bound != nil { connection.send(.requestAck) }
    }

    private func run() async {
        await recall()
        var backoff = Backoff()
        var random = SystemRandomNumberGenerator()
        while !isStopping {
            let (error, wasOnline) = await session()
            lostAt = wasOnline ? .now : lostAt
            if isStopping { break }
            if wasOnline { backoff.reset() }
            await tell(error)
            // Asking again with a password that was refused only locks the account.
            if error.isRefusal { break }
            let next = backoff.next(after: error.isUnanswered ? .unreachable : .other, using: &random)
            // A certificate is renewed, and a file mended, without imd being told.
            let delay = error.isPermanent ? max(next, .seconds(60)) : next
            log.info(
                "not connected", metadata: ["reason": "\(error.userError.message)", "retry": "\(delay)"])
            if await wait(delay) { backoff.reset() }
        }
        if isStopping { setPhase(.offline) }
        isStopping = false
        driver = nil
    }

    /// - Returns: whether it was cut short.
    private func wait(_ delay: Duration) async -> Bool {
        let until = ContinuousClock.now + delay
        let pause = Task { _ = try? await Task.sleep(until: until) }
        self.pause = pause
        await withTaskCancellationHandler {
            await pause.value
        } onCancel: {
            pause.cancel()
        }
        self.pause = nil
        return ContinuousClock.now < until
    }

    private func tell(_ error: ConnectionError) async {
        let isNews =
            phase == .online || phase == .connecting(nil) || (error.isPermanent && phase != .failed(error))
        setPhase(error.isPermanent ? .failed(error) : .connecting(error))
        if isNews { await append(.account(AccountDetail(state: status.state, reason: error.userError))) }
    }

    /// One connection, from the look-up of the server to its end.
    private func session() async -> (error: ConnectionError, wasOnline: Bool) {
        let connection: Connection
        do throws(ConnectionError) {
            var login = try await Credentials.login(jid, record.settings, pinned: record.pinnedMechanism)
            login.stream.resumption = stream.resumption(lostFor: lostAt.map { .now - $0 })
            login.discardsPoison = poisoned >= 2
            connection = try await Connection.open(login, on: group)
        } catch {
            return (error, false)
        }
        if isStopping {
            await connection.close()
            return (.closed, false)
        }
        self.connection = connection
        var (reason, wasOnline, isAlive) = (ConnectionError.closed, false, false)
        var setUp: Task<Void, Never>?
        for await event in connection.events {
            heardAt = Clock.uptime()
            switch event {
            case .resumptionFailed(let count): await acknowledged(count)
            case .bound(let bound, let tls):
                if await began(bound, tls: tls, on: connection) {
                    setUp = Task { await self.setUp(connection) }
                }
            case .received(let batch):
                isAlive = true
                await received(batch, on: connection)
            case .acknowledged(let count):
                isAlive = bound != nil
                await acknowledged(count)
            case .closed(let error): reason = error
            }
            wasOnline = wasOnline || isOnline
        }
        setUp?.cancel()
        if reason.forbidsResumption || (bound?.resumed == true && !isAlive && reason == .stream(.timeout)) {
            // The server took the stream up again and left it at that, or would only repeat what was wrong.
            log.warning("the stream is given up for another one")
            stream.abandon()
        }
        await ended(reason)
        return (reason, wasOnline)
    }

    /// - Returns: false where the store does not let it begin.
    private func began(_ bound: BoundStream, tls: String?, on connection: Connection) async -> Bool {
        generation += 1
        (isBlocked, refuses) = (false, false)
        self.bound = bound
        tlsVersion = tls
        (isMarking, behindMarked) = (false, [])
        requests = PendingIQs(own: bound.jid)
        log.info(
            bound.resumed ? "resumed" : "logged in", metadata: ["mechanism": "\(bound.mechanism)"])
        let id = id
        do {
            if bound.resumed {
                stream.resumed()
                // A query that was under way is not answered any more.
                if !archive.isDone { archive.restart() }
                try await persist { try $0.resetPositions(account: id) }
            } else {
                forgetStream()
                stream = ManagedStream(bound)
                holdsKeys = true
                // What was sent and never acknowledged may have arrived all the same; the archive knows.
                holdsOutbox = try await persist { tx in
                    try tx.removeResumption(account: id)
                    try tx.removePresences(account: id)
                    try tx.resetPositions(account: id)
                    return try tx.oldestUnconfirmed(account: id) != nil
                }
            }
            return true
        } catch {
            log.error("the stream cannot begin", metadata: ["reason": "\(error)"])
            await connection.close()
            return false
        }
    }

    private func forgetStream() {
        archive = ArchiveReading()
        holdsRepetitions = false
        currentLists = [:]
        bundleFailures = [:]
        presences = [:]
        features = ServerFeatures()
        sentPresence = nil
    }

    private func ended(_ reason: ConnectionError) async {
        connection = nil
        bound = nil
        for request in requests.removeAll() { request.fail(reason) }
        // A place for resumption that lets nobody in is not asked again.
        if generation == generationAtLastEnd { stream.forgetLocation() }
        generationAtLastEnd = generation
        if case .stream(.xml(.limit)) = reason { poisoned += 1 }
        guard isStopping else { return }
        // The stream was ended in order: there is nothing to take up.
        let id = id
        stream = ManagedStream()
        _ = try? await store.write { try $0.removeResumption(account: id) }
    }

    /// What an imd before this one knew of the stream that it did not end.
    private func recall() async {
        let id = id
        let known = try? await store.read { tx in
            (
                record: try tx.resumption(account: id), roster: try tx.roster(account: id),
                presences: try tx.presences(account: id)
            )
        }
        guard let known, let record = known.record else { return }
        stream = ManagedStream(record)
        lostAt = .now
        (holdsOutbox, holdsKeys, holdsRepetitions) = (!record.caughtUp, !record.caughtUp, !record.caughtUp)
        for item in known.roster { see(item) }
        for presence in known.presences {
            presences[presence.jid, default: [:]][presence.resource] = Availability(presence)
        }
        for jid in presences.keys { announced[jid] = shown(jid) }
    }

    // MARK: Setting up

    /// What a stream needs before messages flow: contacts, own keys published, presence. A resumed one has it.
    private func setUp(_ connection: Connection) async {
        do {
            if stream.isSetUp {
                // After a restart nobody remembers them.
                if !features.areKnown { await discoverFeatures() }
                restorePresence()
                awaitRotation()
            } else {
                await remember(mechanism: bound?.mechanism)
                async let roster: Void = fetchRoster()
                async let features: Void = discoverFeatures()
                _ = try await (roster, features)
                // Before anybody can write to this device: what its archive holds by then is no news, and what
                // comes later is.
                if try await isFirstLogin() { await readArchive(on: connection) }
                try await publishDevice()
                await enableCarbons()
                guard !Task.isCancelled, connection === self.connection else { return }
                sendPresence()
                stream.isSetUp = true
            }
            guard !Task.isCancelled, connection === self.connection else { return }
            setPhase(.online)
            await append(.account(AccountDetail(state: .online, reason: nil)))
            flush()
            await readArchive(on: connection)
            await goOn()
            guard bound?.resumed == false else { return }
            try await Task.sleep(for: .seconds(10))
            await announceAbsent()
        } catch is CancellationError {
            return
        } catch {
            guard connection === self.connection else { return }
            log.warning("setting the stream up failed", metadata: ["reason": "\(error)"])
            await connection.close()
        }
    }

    /// What may have to be encrypted since nothing could be.
    func goOn() async {
        await prepareQueued()
        flush()
        await tellDecisions()
        Task { await heal() }
    }

    func sendPresence() {
        send([ownPresence.element])
        sentPresence = (ownPresence, isMarking ? .max : stream.acknowledged + Int64(stream.inFlight))
    }

    /// A resumed stream has the presence that the server got, which may be another than ours.
    private func restorePresence() {
        guard let sent = sentPresence, sent.presence == ownPresence, sent.place <= stream.acknowledged else {
            return sendPresence()
        }
    }

    func discoverFeatures() async {
        async let account = info(of: jid)
        async let server = info(of: jid.domain)
        features = ServerFeatures(account: await account, server: await server)
    }

    private func info(of entity: JID) async -> DiscoInfo? {
        guard let answer = try? await get(DiscoInfo.query(), from: entity),
            let payload = try? IQ.payload(answer)
        else { return nil }
        return try? DiscoInfo(payload)
    }

    /// So that what other clients of the account send and get is seen here too.
    private func enableCarbons() async {
        guard features.carbons else { return }
        do {
            try await set(Carbon.enable)
        } catch {
            log.warning("no carbons", metadata: ["reason": "\(error)"])
        }
    }

    /// From now on a weaker offer is a downgrade (threat row 19).
    private func remember(mechanism: String?) async {
        guard let mechanism, mechanism != record.pinnedMechanism else { return }
        record.pinnedMechanism = mechanism
        let id = id
        try? await store.write { try $0.setPinnedMechanism(mechanism, account: id) }
    }
}
