// What expat reports, made into elements.

import CExpat
import Glibc

/// Builds elements from expat's callbacks and guards the limits.
///
/// Reached from the callbacks through a pointer, so that no access pays for a check of exclusivity.
struct ElementBuilder {
    let limits: XMLParser.Limits
    let expat: OpaquePointer

    var events: [StreamEvent] = []
    var refused: XMLError?
    var isOpen = false
    var isClosed = false
    var received = 0  // bytes given to expat
    var stanzaStart = 0  // offset where the last complete stanza ended

    private var names = NameTable()
    private var refusedRoot: Element?
    private var open: [Element] = []  // from the stanza inwards
    private var text: [UInt8] = []  // not yet added to the innermost open element
    private var elements = 0  // of the stanza

    init(limits: XMLParser.Limits, expat: OpaquePointer) {
        self.limits = limits
        self.expat = expat
    }

    /// Makes expat stop; the callbacks that may still come must do nothing.
    private mutating func refuse(_ error: XMLError) {
        guard refused == nil else { return }
        refused = error
        XML_StopParser(expat, 0)
    }

    /// Different names so far.
    var nameCount: Int { names.count }

    /// The child of the root that is open, or was refused in its first or last tag, without content.
    var stanzaRoot: Element? {
        var root = open.first ?? refusedRoot
        root?.nodes = []
        return root
    }

    /// Where in the stream the markup at hand starts and ends.
    private var position: Range<Int> {
        let start = Int(XML_GetCurrentByteIndex(expat))
        return start..<start &+ Int(XML_GetCurrentByteCount(expat))
    }

    fileprivate mutating func intern(_ name: UnsafePointer<CChar>) -> XMLName? {
        let raw = UnsafeRawBufferPointer(start: name, count: strlen(name))
        let index = names.intern(raw.assumingMemoryBound(to: UInt8.self))
        guard names.count <= limits.names else {
            refuse(.limit(.names))
            return nil
        }
        return names[index]
    }

    fileprivate mutating func started(
        _ name: UnsafePointer<CChar>, _ list: UnsafeMutablePointer<UnsafePointer<CChar>?>?
    ) {
        guard let name = intern(name), let attributes = attributes(list) else { return }
        guard isOpen else {
            guard name.local == "stream" && name.namespace == Namespace.streams else {
                return refuse(.notAStream)
            }
            isOpen = true
            stanzaStart = position.upperBound
            events.append(.opened(attributes: attributes))
            return
        }
        elements += 1
        if open.count >= limits.depth { return refuse(.limit(.depth)) }
        if elements > limits.elements { return refuse(.limit(.elements)) }
        let element = Element(name.local, in: name.namespace, list: attributes, nodes: [])
        if checkSize() {
            flushText()
            open.append(element)
        } else if open.isEmpty {
            refusedRoot = element
        }
    }

    private mutating func attributes(
        _ list: UnsafeMutablePointer<UnsafePointer<CChar>?>?
    ) -> [Element.Attribute]? {
        guard var next = list, next.pointee != nil else { return [] }
        var attributes: [Element.Attribute] = []
        attributes.reserveCapacity(4)
        while let name = next.pointee, let value = next[1] {
            guard attributes.count < limits.attributes else {
                refuse(.limit(.attributes))
                return nil
            }
            guard let name = intern(name) else { return nil }
            attributes.append(
                Element.Attribute(
                    name.local, namespace: name.namespace.isEmpty ? nil : name.namespace,
                    String(cString: value)))
            next += 2
        }
        return attributes
    }

    fileprivate mutating func ended() {
        flushText()
        guard let element = open.popLast() else {
            events.append(.closed)
            isClosed = true
            XML_StopParser(expat, 0)
            return
        }
        guard checkSize() else {
            if open.isEmpty { refusedRoot = element }
            return
        }
        if open.isEmpty {
            elements = 0
            stanzaStart = position.upperBound
            events.append(.element(element))
        } else {
            open[open.count - 1].nodes.append(.element(element))
        }
    }

    fileprivate mutating func read(_ characters: UnsafeBufferPointer<UInt8>) {
        if open.isEmpty {
            guard characters.allSatisfy({ $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }) else {
                return refuse(.textBetweenStanzas)
            }
            stanzaStart = position.lowerBound &+ characters.count  // a keepalive is not part of a stanza
        } else if checkSize() {
            text.append(contentsOf: characters)
        }
    }

    private mutating func flushText() {
        if text.isEmpty { return }
        open[open.count - 1].nodes.append(.text(String(decoding: text, as: UTF8.self)))
        text.removeAll(keepingCapacity: true)
    }

    private mutating func checkSize() -> Bool {
        // While even the bytes at hand stay below the limit there is no need to ask expat where it is.
        if received &- stanzaStart <= limits.stanzaBytes { return true }
        if position.upperBound &- stanzaStart <= limits.stanzaBytes { return true }
        refuse(.limit(.stanzaBytes))
        return false
    }
}

// MARK: Callbacks

extension ElementBuilder {
    /// Makes expat report to the builder that the pointer leads to.
    static func connect(_ expat: OpaquePointer, to builder: UnsafeMutablePointer<ElementBuilder>) {
        XML_SetUserData(expat, builder)
        XML_SetElementHandler(
            expat,
            { context, name, attributes in
                guard let builder = ElementBuilder.from(context), let name else { return }
                builder.pointee.started(name, attributes)
            }, { context, _ in ElementBuilder.from(context)?.pointee.ended() })
        XML_SetCharacterDataHandler(expat) { context, characters, count in
            guard let builder = ElementBuilder.from(context), let characters else { return }
            let raw = UnsafeRawBufferPointer(start: characters, count: Int(count))
            builder.pointee.read(raw.assumingMemoryBound(to: UInt8.self))
        }
        XML_SetStartNamespaceDeclHandler(expat) { context, prefix, _ in
            // Expat keeps every prefix; namespaces only as parts of names.
            guard let prefix, let builder = ElementBuilder.from(context) else { return }
            _ = builder.pointee.intern(prefix)
        }
        XML_SetStartDoctypeDeclHandler(expat) { context, _, _, _, _ in
            ElementBuilder.from(context)?.pointee.refuse(.restricted(.declaration))
        }
        XML_SetProcessingInstructionHandler(expat) { context, _, _ in
            ElementBuilder.from(context)?.pointee.refuse(.restricted(.processingInstruction))
        }
        XML_SetCommentHandler(expat) { context, _ in
            ElementBuilder.from(context)?.pointee.refuse(.restricted(.comment))
        }
    }

    /// Nil once the stream is refused or over: expat may report more after it was told to stop.
    private static func from(_ context: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<ElementBuilder>? {
        guard let builder = context?.assumingMemoryBound(to: ElementBuilder.self),
            builder.pointee.refused == nil, !builder.pointee.isClosed
        else { return nil }
        return builder
    }
}
