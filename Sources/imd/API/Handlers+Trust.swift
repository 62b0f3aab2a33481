// What the methods about devices, decisions and encryption do.
import LocalAPI

extension Handlers {
    func registerTrust(_ dispatcher: inout Dispatcher) {
        dispatcher.on(DeviceTrust.self) { params in
            try await accounts.find(params.account).trust(params)
        }
        dispatcher.on(DeviceVerify.self) { params in
            try await accounts.find(params.account).verify(params)
        }
        dispatcher.on(DeviceURI.self) { params in try await accounts.find(params.account).uri(params) }
        dispatcher.on(DeviceReset.self) { params in
            DeviceReset.Result(devices: try await accounts.find(params.account).reset(params))
        }
        dispatcher.on(DeviceRemove.self) { params in
            try await accounts.find(params.account).removeDevice(params.device)
            return Empty()
        }
        dispatcher.on(TrustExport.self) { params in
            try await accounts.find(params.account).exportTrust()
        }
        dispatcher.on(TrustImport.self) { params in
            try await accounts.find(params.account).importTrust(params)
        }
        dispatcher.on(EncryptionGet.self) { params in
            try await accounts.find(params.account).encryption(of: params.jid)
        }
        dispatcher.on(EncryptionSet.self) { params in
            try await accounts.find(params.account).setEncryption(params)
        }
    }
}
