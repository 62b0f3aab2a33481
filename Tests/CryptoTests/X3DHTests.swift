// X3DH between the two sides, and what makes the secret differ.
import IMCrypto
import Testing

@Suite struct X3DHTests {
    private let alice: IdentityKeyPair
    private let bob: IdentityKeyPair
    private let ephemeral, signedPreKey, preKey: KeyPair

    init() {
        var random = SeededGenerator(21)
        alice = .generate(using: &random)
        bob = .generate(using: &random)
        ephemeral = .generate(using: &random)
        signedPreKey = .generate(using: &random)
        preKey = .generate(using: &random)
    }

    private func initiate(_ parameters: X3DH.Parameters) throws -> SecretBytes {
        try X3DH.initiate(
            own: alice, ephemeral: ephemeral, remoteIdentity: bob.publicKey,
            signedPreKey: signedPreKey.publicKey, preKey: preKey.publicKey, parameters)
    }

    @Test func `both sides derive the same 32 bytes`() throws {
        for parameters in [X3DH.Parameters.legacy, .omemo2] {
            let received = try X3DH.respond(
                own: bob, signedPreKey: signedPreKey, preKey: preKey,
                remoteIdentity: alice.publicKey.curve25519, ephemeral: ephemeral.publicKey, parameters)
            #expect(try initiate(parameters) == received)
            #expect(received.count == 32)
        }
    }

    @Test func `the versions derive different secrets`() throws {
        #expect(try initiate(.legacy) != initiate(.omemo2))
    }

    @Test func `any other key on the responder's side leads elsewhere`() throws {
        let expected = try initiate(.legacy)
        for (spk, opk, identity, key) in [
            (preKey, preKey, alice.publicKey.curve25519, ephemeral.publicKey),
            (signedPreKey, signedPreKey, alice.publicKey.curve25519, ephemeral.publicKey),
            (signedPreKey, preKey, bob.publicKey.curve25519, ephemeral.publicKey),
            (signedPreKey, preKey, alice.publicKey.curve25519, preKey.publicKey),
        ] {
            let secret = try X3DH.respond(
                own: bob, signedPreKey: spk, preKey: opk, remoteIdentity: identity, ephemeral: key, .legacy)
            #expect(secret != expected)
        }
    }
}
