/// Why a session could not be used: one enum for each direction, one for messages to many.

/// Why one `<key/>` or payload did not decrypt. The session record is as it was before.
public enum DecryptionError: Error, Sendable, Equatable {
    /// The key of this message is spent: a repetition. Drop it without a word (XEP-0384 §6).
    case alreadyDecrypted
    /// An ordinary message from a device with which there is no session.
    case noSession
    /// Malformed, forged or for another session. The text names the part, never content.
    case invalidMessage(String)
    /// The key exchange names another identity key than the device is known by.
    case identityKeyChanged
    /// More than 1,000 messages would have to be skipped.
    case tooFarAhead
    /// The key exchange uses a one-time pre-key that is spent or never was ours.
    case preKeyUnknown(UInt32)
    /// The key exchange uses a signed pre-key that was deleted or never was ours.
    case signedPreKeyUnknown(UInt32)
    /// The `PreKeyStore` could not answer: says nothing about the message, try again.
    case preKeyStoreFailed
}

/// Why nothing could be encrypted. Every session record is as it was before.
public enum EncryptionError: Error, Sendable, Equatable {
    /// There is no session: initiate one from a bundle first.
    case noSession
    /// The bundle names another identity key than the device is known by.
    case identityKeyChanged
    /// A key of the bundle is a point of low order, or its keys do not agree.
    case invalidKey
    /// The message was refused by a primitive or the sending chain is used up.
    case failed(String)
}

/// Why a message to several devices could not be made. Every session record is as it was before.
public enum FanoutError: Error, Sendable, Equatable {
    /// A message for nobody: the list of recipients is empty.
    case noRecipients
    /// The text could not be sealed.
    case payload
    /// One device could not be encrypted to: leave it out, or initiate a session, and say so.
    case recipient(DeviceAddress, EncryptionError)
}
