/* OMEMO's ratchet in C: times libomemo-c on OpenSSL, for comparison with imd's. Prints one JSON object.
 *
 * usage: omemo_c legacy|omemo2
 *
 * Each message loads the session from its serialized form and stores it again, as a program that keeps its sessions
 * in a database does; imd's side of the comparison does the same.
 */
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <signal_protocol.h>
#include <key_helper.h>
#include <session_builder.h>
#include <session_cipher.h>
#include <protocol.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

enum { one_way = 20000, turns = 2000, set_ups = 500, max_secret_size = 48 };

static uint32_t version;    /* as libomemo-c counts: 3 is legacy, 4 is omemo:2 */
static size_t secret_size; /* of what goes through the ratchet */
static signal_context *context;
static EVP_CIPHER *aes_cbc;
static EVP_MAC *hmac;
static EVP_MD *sha512;

static void check(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "error: %s\n", what);
        exit(70);
    }
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3; /* microseconds */
}

/* Crypto provider: algorithms are fetched once, which OpenSSL 3 rewards. */

static int random_bytes(uint8_t *data, size_t size, void *user) {
    (void)user;
    return RAND_bytes(data, (int)size) == 1 ? 0 : SG_ERR_UNKNOWN;
}

static int hmac_init(void **state, const uint8_t *key, size_t size, void *user) {
    (void)user;
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string("digest", "SHA256", 0), OSSL_PARAM_construct_end()};
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(hmac);
    *state = mac;
    return mac && EVP_MAC_init(mac, key, size, parameters) == 1 ? 0 : SG_ERR_UNKNOWN;
}

static int hmac_update(void *state, const uint8_t *data, size_t size, void *user) {
    (void)user;
    return EVP_MAC_update(state, data, size) == 1 ? 0 : SG_ERR_UNKNOWN;
}

static int hmac_final(void *state, signal_buffer **output, void *user) {
    (void)user;
    uint8_t tag[32];
    size_t size = 0;
    if (EVP_MAC_final(state, tag, &size, sizeof tag) != 1) return SG_ERR_UNKNOWN;
    *output = signal_buffer_create(tag, size);
    return *output ? 0 : SG_ERR_NOMEM;
}

static void hmac_cleanup(void *state, void *user) {
    (void)user;
    EVP_MAC_CTX_free(state);
}

static int sha512_init(void **state, void *user) {
    (void)user;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    *state = digest;
    return digest && EVP_DigestInit_ex2(digest, sha512, NULL) == 1 ? 0 : SG_ERR_UNKNOWN;
}

static int sha512_update(void *state, const uint8_t *data, size_t size, void *user) {
    (void)user;
    return EVP_DigestUpdate(state, data, size) == 1 ? 0 : SG_ERR_UNKNOWN;
}

static int sha512_final(void *state, signal_buffer **output, void *user) {
    (void)user;
    uint8_t hash[64];
    unsigned size = 0;
    if (EVP_DigestFinal_ex(state, hash, &size) != 1) return SG_ERR_UNKNOWN;
    if (EVP_DigestInit_ex2(state, sha512, NULL) != 1) return SG_ERR_UNKNOWN;
    *output = signal_buffer_create(hash, size);
    return *output ? 0 : SG_ERR_NOMEM;
}

static void sha512_cleanup(void *state, void *user) {
    (void)user;
    EVP_MD_CTX_free(state);
}

static int cipher(bool encrypt, signal_buffer **output, const uint8_t *key, const uint8_t *iv, const uint8_t *data,
                  size_t size) {
    EVP_CIPHER_CTX *state = EVP_CIPHER_CTX_new();
    uint8_t *result = malloc(size + 16);
    int first = 0, last = 0;
    bool ok = state && result && EVP_CipherInit_ex2(state, aes_cbc, key, iv, encrypt, NULL) == 1 &&
              EVP_CipherUpdate(state, result, &first, data, (int)size) == 1 &&
              EVP_CipherFinal_ex(state, result + first, &last) == 1;
    if (ok) *output = signal_buffer_create(result, (size_t)(first + last));
    free(result);
    EVP_CIPHER_CTX_free(state);
    return ok ? 0 : SG_ERR_UNKNOWN;
}

static int encrypt_cbc(signal_buffer **output, int mode, const uint8_t *key, size_t key_size, const uint8_t *iv,
                       size_t iv_size, const uint8_t *data, size_t size, void *user) {
    (void)user, (void)iv_size;
    if (mode != SG_CIPHER_AES_CBC_PKCS5 || key_size != 32) return SG_ERR_INVAL;
    return cipher(true, output, key, iv, data, size);
}

static int decrypt_cbc(signal_buffer **output, int mode, const uint8_t *key, size_t key_size, const uint8_t *iv,
                       size_t iv_size, const uint8_t *data, size_t size, void *user) {
    (void)user, (void)iv_size;
    if (mode != SG_CIPHER_AES_CBC_PKCS5 || key_size != 32) return SG_ERR_INVAL;
    return cipher(false, output, key, iv, data, size);
}

/* One device with its keys and at most one session, all in memory. */

typedef struct {
    ratchet_identity_key_pair *identity;
    signal_buffer *session, *pre_key, *signed_pre_key;
    signal_protocol_store_context *store;
    signal_protocol_address remote;
    session_cipher *cipher;
} device;

static int load_session(signal_buffer **record, signal_buffer **extra, const signal_protocol_address *a, void *user) {
    (void)extra, (void)a;
    device *d = user;
    if (!d->session) return 0;
    *record = signal_buffer_copy(d->session);
    return *record ? 1 : SG_ERR_NOMEM;
}

static int store_session(const signal_protocol_address *a, uint8_t *record, size_t size, uint8_t *extra,
                         size_t extra_size, void *user) {
    (void)a, (void)extra, (void)extra_size;
    device *d = user;
    signal_buffer_free(d->session);
    d->session = signal_buffer_create(record, size);
    return d->session ? 0 : SG_ERR_NOMEM;
}

static int contains_session(const signal_protocol_address *a, void *user) {
    (void)a;
    return ((device *)user)->session != NULL;
}

static int load_pre_key(signal_buffer **record, uint32_t id, void *user) {
    (void)id;
    *record = signal_buffer_copy(((device *)user)->pre_key);
    return *record ? 0 : SG_ERR_NOMEM;
}

static int load_signed_pre_key(signal_buffer **record, uint32_t id, void *user) {
    (void)id;
    *record = signal_buffer_copy(((device *)user)->signed_pre_key);
    return *record ? 0 : SG_ERR_NOMEM;
}

static int contains_key(uint32_t id, void *user) {
    (void)id, (void)user;
    return 1;
}

static int remove_key(uint32_t id, void *user) {
    (void)id, (void)user; /* the same pre-key serves every timed set-up */
    return 0;
}

static int identity_pair(signal_buffer **public_data, signal_buffer **private_data, void *user) {
    device *d = user;
    int result = ec_public_key_serialize(public_data, ratchet_identity_key_pair_get_public(d->identity));
    if (result < 0) return result;
    return ec_private_key_serialize(private_data, ratchet_identity_key_pair_get_private(d->identity));
}

static int registration_id(void *user, uint32_t *id) {
    (void)user;
    *id = 1;
    return 0;
}

static int save_identity(const signal_protocol_address *a, uint8_t *key, size_t size, void *user) {
    (void)a, (void)key, (void)size, (void)user;
    return 0;
}

static int trusted_identity(const signal_protocol_address *a, uint8_t *key, size_t size, void *user) {
    (void)a, (void)key, (void)size, (void)user;
    return 1;
}

static void make_device(device *d, const char *remote) {
    memset(d, 0, sizeof *d);
    d->remote = (signal_protocol_address){.name = remote, .name_len = strlen(remote), .device_id = 1};
    check(signal_protocol_key_helper_generate_identity_key_pair(&d->identity, context) == 0, "identity key");
    signal_protocol_key_helper_pre_key_list_node *list = NULL;
    check(signal_protocol_key_helper_generate_pre_keys(&list, 1, 1, context) == 0, "pre-key");
    check(session_pre_key_serialize(&d->pre_key, signal_protocol_key_helper_key_list_element(list)) == 0, "pre-key");
    signal_protocol_key_helper_key_list_free(list);
    session_signed_pre_key *signed_pre_key = NULL;
    check(signal_protocol_key_helper_generate_signed_pre_key(&signed_pre_key, d->identity, 1, 0, context) == 0,
          "signed pre-key");
    check(session_signed_pre_key_serialize(&d->signed_pre_key, signed_pre_key) == 0, "signed pre-key");
    SIGNAL_UNREF(signed_pre_key);

    signal_protocol_session_store sessions = {.load_session_func = load_session, .store_session_func = store_session,
                                              .contains_session_func = contains_session, .user_data = d};
    signal_protocol_pre_key_store pre_keys = {.load_pre_key = load_pre_key, .contains_pre_key = contains_key,
                                              .remove_pre_key = remove_key, .user_data = d};
    signal_protocol_signed_pre_key_store signed_pre_keys = {.load_signed_pre_key = load_signed_pre_key,
                                                            .contains_signed_pre_key = contains_key, .user_data = d};
    signal_protocol_identity_key_store identities = {.get_identity_key_pair = identity_pair,
                                                     .get_local_registration_id = registration_id,
                                                     .save_identity = save_identity,
                                                     .is_trusted_identity = trusted_identity, .user_data = d};
    check(signal_protocol_store_context_create(&d->store, context) == 0 &&
              signal_protocol_store_context_set_session_store(d->store, &sessions) == 0 &&
              signal_protocol_store_context_set_pre_key_store(d->store, &pre_keys) == 0 &&
              signal_protocol_store_context_set_signed_pre_key_store(d->store, &signed_pre_keys) == 0 &&
              signal_protocol_store_context_set_identity_key_store(d->store, &identities) == 0 &&
              session_cipher_create(&d->cipher, d->store, &d->remote, context) == 0,
          "store");
    session_cipher_set_version(d->cipher, version);
}

/* From the other side's published keys to a session: the signature is verified. */
static void start_session(device *d, device *other) {
    session_pre_key *pre_key = NULL;
    session_signed_pre_key *signed_pre_key = NULL;
    session_pre_key_bundle *bundle = NULL;
    session_builder *builder = NULL;
    signal_buffer_free(d->session);
    d->session = NULL;
    check(session_pre_key_deserialize(&pre_key, signal_buffer_data(other->pre_key), signal_buffer_len(other->pre_key),
                                      context) == 0, "pre-key");
    check(session_signed_pre_key_deserialize(&signed_pre_key, signal_buffer_data(other->signed_pre_key),
                                             signal_buffer_len(other->signed_pre_key), context) == 0, "signed pre-key");
    const bool legacy = version == 3;
    const uint8_t *signature = legacy ? session_signed_pre_key_get_signature(signed_pre_key)
                                      : session_signed_pre_key_get_signature_omemo(signed_pre_key);
    const size_t signature_size = legacy ? session_signed_pre_key_get_signature_len(signed_pre_key)
                                         : session_signed_pre_key_get_signature_omemo_len(signed_pre_key);
    check(session_pre_key_bundle_create(&bundle, 1, 1, 1, ec_key_pair_get_public(session_pre_key_get_key_pair(pre_key)), 1,
                                        ec_key_pair_get_public(session_signed_pre_key_get_key_pair(signed_pre_key)),
                                        signature, signature_size,
                                        ratchet_identity_key_pair_get_public(other->identity)) == 0, "bundle");
    check(session_builder_create(&builder, d->store, &d->remote, context) == 0, "builder");
    session_builder_set_version(builder, version);
    check(session_builder_process_pre_key_bundle(builder, bundle) == 0, "session from the bundle");
    session_builder_free(builder);
    SIGNAL_UNREF(bundle);
    SIGNAL_UNREF(signed_pre_key);
    SIGNAL_UNREF(pre_key);
}

static signal_buffer *encrypt(device *d, const uint8_t *secret, bool *key_exchange) {
    ciphertext_message *message = NULL;
    check(session_cipher_encrypt(d->cipher, secret, secret_size, &message) == 0, "encrypt");
    *key_exchange = ciphertext_message_get_type(message) == CIPHERTEXT_PREKEY_TYPE;
    signal_buffer *data = signal_buffer_copy(ciphertext_message_get_serialized(message));
    SIGNAL_UNREF(message);
    return data;
}

static void decrypt(device *d, signal_buffer *data, bool key_exchange, const uint8_t *secret) {
    signal_buffer *plaintext = NULL;
    int result;
    if (key_exchange) {
        pre_key_signal_message *message = NULL;
        result = version == 3
            ? pre_key_signal_message_deserialize(&message, signal_buffer_data(data), signal_buffer_len(data), context)
            : pre_key_signal_message_deserialize_omemo(&message, signal_buffer_data(data), signal_buffer_len(data), 1,
                                                       context);
        check(result == 0, "parse");
        result = session_cipher_decrypt_pre_key_signal_message(d->cipher, message, NULL, &plaintext);
        SIGNAL_UNREF(message);
    } else {
        signal_message *message = NULL;
        result = version == 3
            ? signal_message_deserialize(&message, signal_buffer_data(data), signal_buffer_len(data), context)
            : signal_message_deserialize_omemo(&message, signal_buffer_data(data), signal_buffer_len(data), context);
        check(result == 0, "parse");
        result = session_cipher_decrypt_signal_message(d->cipher, message, NULL, &plaintext);
        SIGNAL_UNREF(message);
    }
    check(result == 0 && signal_buffer_len(plaintext) == secret_size &&
              memcmp(signal_buffer_data(plaintext), secret, secret_size) == 0, "decrypt");
    signal_buffer_free(plaintext);
    signal_buffer_free(data);
}

int main(int argc, char **argv) {
    bool legacy = argc == 2 && strcmp(argv[1], "legacy") == 0;
    check(legacy || (argc == 2 && strcmp(argv[1], "omemo2") == 0), "usage: omemo_c legacy|omemo2");
    version = legacy ? 3 : 4;
    secret_size = legacy ? 32 : 48;
    aes_cbc = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    sha512 = EVP_MD_fetch(NULL, "SHA512", NULL);
    signal_crypto_provider provider = {
        .random_func = random_bytes,
        .hmac_sha256_init_func = hmac_init, .hmac_sha256_update_func = hmac_update,
        .hmac_sha256_final_func = hmac_final, .hmac_sha256_cleanup_func = hmac_cleanup,
        .sha512_digest_init_func = sha512_init, .sha512_digest_update_func = sha512_update,
        .sha512_digest_final_func = sha512_final, .sha512_digest_cleanup_func = sha512_cleanup,
        .encrypt_func = encrypt_cbc, .decrypt_func = decrypt_cbc};
    check(signal_context_create(&context, NULL) == 0 && signal_context_set_crypto_provider(context, &provider) == 0,
          "context");

    uint8_t secret[max_secret_size];
    RAND_bytes(secret, secret_size);
    device alice, bob;
    make_device(&alice, "bob");
    make_device(&bob, "alice");
    bool exchange;
    signal_buffer *message;

    double set_up = now();
    for (int i = 0; i < set_ups; i++) { /* both sides: session from the bundle, first message, its decryption */
        signal_buffer_free(bob.session);
        bob.session = NULL;
        start_session(&alice, &bob);
        message = encrypt(&alice, secret, &exchange);
        decrypt(&bob, message, exchange, secret);
    }
    set_up = (now() - set_up) / set_ups;

    double turn = now();
    for (int i = 0; i < turns; i++) { /* every message starts a new chain, so it is one DH step on each side */
        device *from = i % 2 ? &alice : &bob, *to = i % 2 ? &bob : &alice;
        message = encrypt(from, secret, &exchange);
        decrypt(to, message, exchange, secret);
    }
    turn = (now() - turn) / turns;

    static signal_buffer *sent[one_way];
    double encrypting = now();
    for (int i = 0; i < one_way; i++) sent[i] = encrypt(&alice, secret, &exchange);
    encrypting = (now() - encrypting) / one_way;
    double decrypting = now();
    for (int i = 0; i < one_way; i++) decrypt(&bob, sent[i], exchange, secret);
    decrypting = (now() - decrypting) / one_way;

    printf("{\"encrypt_us\": %.2f, \"decrypt_us\": %.2f, \"ping_pong_us\": %.1f, \"set_up_us\": %.1f}\n", encrypting,
           decrypting, turn, set_up);
    return 0;
}
