// What an account does while its store cannot take anything: it waits, and acknowledges nothing (fault row F6).
import LocalAPI
import Store

extension Account {
    /// As `Store.write`, and where the disk is full or fails, tries again until it works. Meanwhile nothing more is
    /// read from the server, so nothing is acknowledged that is not stored.
    ///
    /// - Throws: what `body` throws, and the store's failure once the account is stopped.
    func persist<T: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> T) async throws -> T {
        while true {
            do {
                let value = try await store.write(body)
                storageWorks()
                return value
            } catch let error as StoreError where error.mayPass {
                storageFails(error)
                // In a task of its own: a caller that was cancelled does not try without a pause.
                for _ in 0..<8 where !isStopping {
                    await Task { try? await Task.sleep(for: .milliseconds(250)) }.value
                }
                if isStopping { throw error }
            }
        }
    }

    private func storageFails(_ error: StoreError) {
        if storageFailure != error { log.error("nothing can be stored", metadata: ["reason": "\(error)"]) }
        storageFailure = error
    }

    private func storageWorks() {
        guard storageFailure != nil else { return }
        storageFailure = nil
        log.notice("storing works again")
        // Whoever waits for the store may go on.
        flush()
        Task { await prepareQueued() }
    }
}

extension StoreError {
    /// Whether the same call may work later without any change of imd's.
    var mayPass: Bool {
        switch self {
        case .full, .readOnly, .busy, .io: true
        case .corrupt, .constraint, .closed, .locked, .newer, .permissions: false
        }
    }
}
