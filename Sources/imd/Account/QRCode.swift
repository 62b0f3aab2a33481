// Text as a QR code (ISO/IEC 18004), drawn by whoever shows it.
import CQRencode

/// The modules of a QR code: byte mode, error correction M, the smallest version that holds the text.
struct QRCode: Equatable {
    /// One string for each row from the top, one character for each module from the left: "1" is dark. Square, 21
    /// to 177 modules wide, without the quiet zone.
    let rows: [String]

    /// - Returns: nil for an empty text and for one of more than 2331 bytes.
    init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard !bytes.isEmpty,
            let code = QRcode_encodeData(Int32(clamping: bytes.count), bytes, 0, QR_ECLEVEL_M)
        else { return nil }
        defer { QRcode_free(code) }
        guard let data = code.pointee.data else { return nil }
        let width = Int(code.pointee.width)
        let zero = UInt8(ascii: "0")
        rows = (0..<width).map { row in
            // The lowest bit is the colour; the others tell what the module is for.
            let digits = (0..<width).map { zero + data[row * width + $0] & 1 }
            return String(decoding: digits, as: UTF8.self)
        }
    }
}
