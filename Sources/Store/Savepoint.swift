// Parts of a transaction that can be undone alone.

extension Transaction {
    /// Runs a part of the transaction; what it did is undone if it throws, and the rest stands.
    ///
    /// Not against failures of the disk: after those nothing of the transaction can be stored, and whatever
    /// else is asked of it fails too.
    ///
    /// - Throws: what `body` throws.
    public func savepoint<T>(_ body: () throws -> T) throws -> T {
        let lastEventNumber = scope.lastEventNumber
        try run("SAVEPOINT part")
        do {
            let value = try body()
            try run("RELEASE SAVEPOINT part")
            return value
        } catch {
            if scope.failure == nil {
                try run("ROLLBACK TRANSACTION TO SAVEPOINT part")
                try run("RELEASE SAVEPOINT part")
                scope.lastEventNumber = lastEventNumber
            }
            throw error
        }
    }
}
