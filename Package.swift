// swift-tools-version: 6.2
import Foundation
import PackageDescription

/// CI sets this; a warning then stops the build.
let strict = ProcessInfo.processInfo.environment["IMD_WARNINGS_AS_ERRORS"] != nil

let settings: [SwiftSetting] =
    [.enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("InternalImportsByDefault")]
    + (strict ? [.treatAllWarnings(as: .error)] : [])

/// imctl starts once per message sent from a shell: no dynamic loading, no Swift runtime to find.
let staticExecutable: [LinkerSetting] = [
    .unsafeFlags(
        [
            "-static-executable", "-l_FoundationCollections", "-l_FoundationCShims", "-l_FoundationICU",
            "-lswiftSynchronization", "-lstdc++",
        ],
        .when(configuration: .release))
]

let package = Package(
    name: "imd",
    products: [
        .library(name: "LocalAPI", targets: ["LocalAPI"]),
        .executable(name: "imd", targets: ["imd"]),
        .executable(name: "imctl", targets: ["imctl"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
    ],
    targets: [
        .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(name: "CExpat", pkgConfig: "expat", providers: [.apt(["libexpat1-dev"])]),
        .systemLibrary(
            name: "CQRencode", pkgConfig: "libqrencode", providers: [.apt(["libqrencode-dev"])]),
        .target(name: "CLinux", linkerSettings: [.linkedLibrary("resolv")]),
        .target(
            name: "IMCrypto",
            dependencies: [
                "CSodium",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
            ],
            path: "Sources/Crypto", swiftSettings: settings),
        .target(name: "XMPP", dependencies: ["IMCrypto", "CExpat"], swiftSettings: settings),
        .target(name: "OMEMO", dependencies: ["IMCrypto", "XMPP"], swiftSettings: settings),
        .target(
            name: "Store",
            dependencies: ["IMCrypto", "XMPP", "OMEMO", .product(name: "GRDB", package: "GRDB.swift")],
            swiftSettings: settings),
        .target(name: "LocalAPI", swiftSettings: settings),
        .executableTarget(
            name: "imd",
            dependencies: [
                "CLinux", "CQRencode", "IMCrypto", "XMPP", "OMEMO", "Store", "LocalAPI",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "TOMLKit", package: "TOMLKit"),
            ], swiftSettings: settings),
        .executableTarget(
            name: "imctl",
            dependencies: [
                "LocalAPI", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: settings, linkerSettings: staticExecutable),
        .executableTarget(
            name: "imd-echo", dependencies: ["LocalAPI"], path: "examples/swift-echo", swiftSettings: settings
        ),
        .executableTarget(
            name: "imd-bench", dependencies: ["IMCrypto", "OMEMO", "XMPP"], path: "bench/Ratchet",
            swiftSettings: settings),
        .testTarget(
            name: "CryptoTests", dependencies: ["IMCrypto"], exclude: ["Oracle"],
            resources: [.copy("Vectors")],
            swiftSettings: settings),
        .testTarget(name: "XMPPTests", dependencies: ["XMPP", "IMCrypto"], swiftSettings: settings),
        .testTarget(
            name: "OMEMOTests", dependencies: ["OMEMO", "XMPP", "IMCrypto"], exclude: ["Oracle"],
            resources: [.copy("Vectors")], swiftSettings: settings),
        .testTarget(
            name: "StoreTests", dependencies: ["Store", "OMEMO", "XMPP", "IMCrypto"],
            exclude: ["Golden"], swiftSettings: settings),
        .testTarget(
            name: "LocalAPITests", dependencies: ["LocalAPI"], exclude: ["Golden", "Vectors"],
            swiftSettings: settings),
        .testTarget(
            name: "imctlTests",
            dependencies: [
                "imctl", "LocalAPI", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: settings),
        .testTarget(
            name: "imdTests", dependencies: ["imd", "Store", "OMEMO", "XMPP", "IMCrypto", "LocalAPI"],
            swiftSettings: settings),
        .testTarget(name: "ArchitectureTests", swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
