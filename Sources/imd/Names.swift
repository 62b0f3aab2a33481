// Names for what two modules call the same; this file imports only one of each pair.
import LocalAPI
import Store

/// Whose key encrypted a received message. XMPP's type of that name is a hint in clear.
typealias SenderEncryption = MessageEncryption
/// A message as the API shows it. XMPP's type of that name is a stanza.
typealias ShownMessage = Message
/// A device as the API lists it.
typealias ShownDevice = DeviceList.Device
