// The permanent codes: their words, exit statuses and JSON-RPC codes.

import LocalAPI
import Testing

struct ErrorCodeTests {
    @Test func `codes are kebab-case and exit with a sysexits number, never 1`() {
        for code in ErrorCode.allCases {
            #expect(code.rawValue.utf8.allSatisfy { (0x61...0x7a).contains($0) || $0 == 0x2d })
            #expect((64...78).contains(code.exitCode))
            #expect(!code.sentence.isEmpty)
        }
    }

    /// Scripts depend on these numbers: a change here is a breaking change.
    @Test func `published codes keep their exit status`() {
        let published: [String: Int32] = [
            "bad-address": 64, "bad-json": 64, "bad-request": 64, "invalid-params": 64, "unknown-method": 64,
            "usage": 64, "unknown-account": 64, "no-account": 64, "ambiguous-account": 64, "bad-text": 65,
            "too-large": 65, "no-such-message": 66, "no-such-contact": 66, "no-such-consumer": 66,
            "no-such-device": 66, "no-such-event": 66, "no-such-hook": 66, "hook-failed": 70,
            "unreadable-file": 66, "recipient-unknown": 67, "host-unknown": 68,
            "daemon-not-running": 69,
            "not-connected": 69, "server-unreachable": 69, "not-supported": 69, "internal": 70,
            "conflict": 73,
            "storage": 74, "disk-full": 74, "input-output": 74, "timeout": 75, "busy": 75, "certificate": 76,
            "tls-required": 76, "server-protocol": 76, "not-authorized": 77, "password-unavailable": 77,
            "no-trusted-device": 77, "encryption-required": 77, "opted-out": 77, "fingerprint-mismatch": 77,
            "bad-passphrase": 77, "denied": 77, "unsafe-directory": 77, "configuration": 78,
        ]
        #expect(
            published
                == Dictionary(uniqueKeysWithValues: ErrorCode.allCases.map { ($0.rawValue, $0.exitCode) }))
    }

    @Test func `JSON-RPC's own codes are used where it has them`() {
        #expect(ErrorCode.badJSON.rpcCode == -32700)
        #expect(ErrorCode.badRequest.rpcCode == -32600)
        #expect(ErrorCode.unknownMethod.rpcCode == -32601)
        #expect(ErrorCode.invalidParams.rpcCode == -32602)
        #expect(ErrorCode.internalError.rpcCode == -32603)
        #expect(ErrorCode.noTrustedDevice.rpcCode == -32077)
    }

    @Test func `a code that a newer imd has added is still an error`() throws {
        let error = try UserError(json: ["code": "from-the-future", "message": "m"])
        #expect(error == UserError(.internalError, "m"))
    }
}
