// What the methods about backups do.
import LocalAPI

extension Handlers {
    func registerBackup(_ dispatcher: inout Dispatcher) {
        dispatcher.on(AccountExport.self) { params in
            try await accounts.find(params.account).export(params)
        }
        dispatcher.on(AccountInspect.self) { params in try BackupImport.inspect(params) }
        dispatcher.on(AccountImport.self) { params in try await accounts.importBackup(params) }
    }
}
