/* One device on libomemo-c, driven by one line of words per request; bytes are hexadecimal.
 *
 * usage: omemo_c legacy|omemo2 SEED
 *
 * SEED makes all its randomness, so that a failure can be repeated: these keys are for tests only. The payload is
 * not libomemo-c's business, nor is XML: what goes in and out are the secrets of payloads and the <key/>s.
 *
 *   create                           a new device; the sign of its Edwards identity is always 0
 *   bundle                           answers SIGNED-ID SIGNED-KEY SIGNATURE IDENTITY, then ID KEY of each pre-key
 *   start DEVICE SIGNED-ID SIGNED-KEY SIGNATURE IDENTITY ID KEY
 *                                    a session from a bundle; the one that was there is archived
 *   encrypt SECRET                   answers KEY-EXCHANGE (0 or 1) and the message
 *   decrypt KEY-EXCHANGE MESSAGE     answers the secret and the id of the pre-key that it spent, 0 for none
 *   snapshot                         keeps a copy of the store
 *   restore                          goes back to that copy, as from a backup
 *   drop                             forgets all sessions
 *
 * An answer is "ok", then the words above; or "error" and a name.
 */
#include <openssl/evp.h>
#include <signal_protocol.h>
#include <key_helper.h>
#include <session_builder.h>
#include <session_cipher.h>
#include <protocol.h>
#include <stdbool.h>
#include <string.h>

enum { pre_key_count = 100, max_words = 16 };

static bool legacy;
static uint64_t seed;
static signal_context *context;

static void check(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "error: %s\n", what);
        exit(70);
    }
}

/* Crypto provider. */

static int random_bytes(uint8_t *data, size_t size, void *user) {
    (void)user;
    for (size_t i = 0; i < size; i++) { /* SplitMix64 */
        uint64_t z = seed += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        data[i] = (uint8_t)((z ^ (z >> 31)) >> 24);
    }
    return 0;
}

static int hmac_init(void **state, const uint8_t *key, size_t size, void *user) {
    (void)user;
    EVP_PKEY *mac_key = EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, NULL, key, size);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool ok = mac_key && digest && EVP_DigestSignInit(digest, NULL, EVP_sha256(), NULL, mac_key) == 1;
    EVP_PKEY_free(mac_key);
    *state = digest;
    return ok ? 0 : SG_ERR_UNKNOWN;
}

static int hmac_update(void *state, const uint8_t *data, size_t size, void *user) {
    (void)user;
    return EVP_DigestSignUpdate(state, data, size) == 1 ? 0 : SG_ERR_UNKNOWN;
}

static int hmac_final(void *state, signal_buffer **output, void *user) {
    (void)user;
    uint8_t tag[32];
    size_t size = sizeof tag;
    if (EVP_DigestSignFinal(state, tag, &size) != 1) return SG_ERR_UNKNOWN;
    *output = signal_buffer_create(tag, size);
    return *output ? 0 : SG_ERR_NOMEM;
}

static int sha512_init(void **state, void *user) {
    (void)user;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    *state = digest;
    return digest && EVP_DigestInit_ex(digest, EVP_sha512(), NULL) == 1 ? 0 : SG_ERR_UNKNOWN;
}

static int sha512_update(void *state, const uint8_t *data, size_t size, void *user) {
    (void)user;
    return EVP_DigestUpdate(state, data, size) == 1 ? 0 : SG_ERR_UNKNOWN;
}

static int sha512_final(void *state, signal_buffer **output, void *user) {
    (void)user;
    uint8_t hash[64];
    if (EVP_DigestFinal_ex(state, hash, NULL) != 1) return SG_ERR_UNKNOWN;
    if (EVP_DigestInit_ex(state, EVP_sha512(), NULL) != 1) return SG_ERR_UNKNOWN;
    *output = signal_buffer_create(hash, sizeof hash);
    return *output ? 0 : SG_ERR_NOMEM;
}

static void free_digest(void *state, void *user) {
    (void)user;
    EVP_MD_CTX_free(state);
}

static int cipher(bool encrypt, signal_buffer **output, int mode, const uint8_t *key, size_t key_size,
                  const uint8_t *iv, size_t iv_size, const uint8_t *data, size_t size) {
    if (mode != SG_CIPHER_AES_CBC_PKCS5 || key_size != 32 || iv_size != 16) return SG_ERR_INVAL;
    EVP_CIPHER_CTX *state = EVP_CIPHER_CTX_new();
    uint8_t *result = malloc(size + 16);
    int first = 0, last = 0;
    bool ok = state && result && EVP_CipherInit_ex(state, EVP_aes_256_cbc(), NULL, key, iv, encrypt) == 1 &&
              EVP_CipherUpdate(state, result, &first, data, (int)size) == 1 &&
              EVP_CipherFinal_ex(state, result + first, &last) == 1;
    if (ok) *output = signal_buffer_create(result, (size_t)(first + last));
    free(result);
    EVP_CIPHER_CTX_free(state);
    return ok ? 0 : SG_ERR_UNKNOWN;
}

static int encrypt_cbc(signal_buffer **output, int mode, const uint8_t *key, size_t key_size, const uint8_t *iv,
                       size_t iv_size, const uint8_t *data, size_t size, void *user) {
    (void)user;
    return cipher(true, output, mode, key, key_size, iv, iv_size, data, size);
}

static int decrypt_cbc(signal_buffer **output, int mode, const uint8_t *key, size_t key_size, const uint8_t *iv,
                       size_t iv_size, const uint8_t *data, size_t size, void *user) {
    (void)user;
    return cipher(false, output, mode, key, key_size, iv, iv_size, data, size);
}

static void make_context(void) {
    signal_crypto_provider provider = {
        .random_func = random_bytes,
        .hmac_sha256_init_func = hmac_init, .hmac_sha256_update_func = hmac_update,
        .hmac_sha256_final_func = hmac_final, .hmac_sha256_cleanup_func = free_digest,
        .sha512_digest_init_func = sha512_init, .sha512_digest_update_func = sha512_update,
        .sha512_digest_final_func = sha512_final, .sha512_digest_cleanup_func = free_digest,
        .encrypt_func = encrypt_cbc, .decrypt_func = decrypt_cbc};
    check(signal_context_create(&context, NULL) == 0 && signal_context_set_crypto_provider(context, &provider) == 0,
          "context");
}

/* The store: what is in it changes as a whole, or not at all. */

typedef struct {
    signal_buffer *session; /* NULL if there is none */
    uint32_t next_id;
    struct { uint32_t id; signal_buffer *record; } pre_keys[pre_key_count];
} store;

static ratchet_identity_key_pair *identity;
static signal_buffer *signed_pre_key;
static store now, kept;
static uint32_t spent;
static signal_protocol_store_context *store_context;
static signal_protocol_address remote = {.name = "imd", .name_len = 3, .device_id = 1};

static signal_buffer *copy(signal_buffer *buffer) { return buffer ? signal_buffer_copy(buffer) : NULL; }

static void free_store(store *s) {
    signal_buffer_free(s->session);
    for (int i = 0; i < pre_key_count; i++) signal_buffer_free(s->pre_keys[i].record);
    memset(s, 0, sizeof *s);
}

static store copy_store(const store *s) {
    store result = *s;
    result.session = copy(s->session);
    for (int i = 0; i < pre_key_count; i++) result.pre_keys[i].record = copy(s->pre_keys[i].record);
    return result;
}

static int place(uint32_t id) {
    for (int i = 0; i < pre_key_count; i++)
        if (now.pre_keys[i].id == id && now.pre_keys[i].record) return i;
    return -1;
}

static void make_pre_key(int index) {
    signal_protocol_key_helper_pre_key_list_node *list = NULL;
    check(signal_protocol_key_helper_generate_pre_keys(&list, now.next_id, 1, context) == 0, "pre-key");
    signal_buffer_free(now.pre_keys[index].record);
    now.pre_keys[index].record = NULL;
    session_pre_key *key = signal_protocol_key_helper_key_list_element(list);
    check(session_pre_key_serialize(&now.pre_keys[index].record, key) == 0, "pre-key");
    now.pre_keys[index].id = now.next_id++;
    signal_protocol_key_helper_key_list_free(list);
}

static int load_session(signal_buffer **record, signal_buffer **extra, const signal_protocol_address *a, void *user) {
    (void)extra, (void)a, (void)user;
    if (!now.session) return 0;
    *record = signal_buffer_copy(now.session);
    return *record ? 1 : SG_ERR_NOMEM;
}

static int store_session(const signal_protocol_address *a, uint8_t *record, size_t size, uint8_t *extra,
                         size_t extra_size, void *user) {
    (void)a, (void)extra, (void)extra_size, (void)user;
    signal_buffer_free(now.session);
    now.session = signal_buffer_create(record, size);
    return now.session ? 0 : SG_ERR_NOMEM;
}

static int contains_session(const signal_protocol_address *a, void *user) {
    (void)a, (void)user;
    return now.session != NULL;
}

static int load_pre_key(signal_buffer **record, uint32_t id, void *user) {
    (void)user;
    int index = place(id);
    if (index < 0) return SG_ERR_INVALID_KEY_ID;
    *record = signal_buffer_copy(now.pre_keys[index].record);
    return *record ? 0 : SG_ERR_NOMEM;
}

static int contains_pre_key(uint32_t id, void *user) {
    (void)user;
    return place(id) >= 0;
}

static int remove_pre_key(uint32_t id, void *user) {
    (void)user;
    int index = place(id);
    if (index < 0) return SG_ERR_INVALID_KEY_ID;
    make_pre_key(index);
    spent = id;
    return 0;
}

static int load_signed_pre_key(signal_buffer **record, uint32_t id, void *user) {
    (void)user;
    if (id != 1) return SG_ERR_INVALID_KEY_ID;
    *record = signal_buffer_copy(signed_pre_key);
    return *record ? 0 : SG_ERR_NOMEM;
}

static int contains_signed_pre_key(uint32_t id, void *user) {
    (void)user;
    return id == 1;
}

static int identity_pair(signal_buffer **public_data, signal_buffer **private_data, void *user) {
    (void)user;
    int result = ec_public_key_serialize(public_data, ratchet_identity_key_pair_get_public(identity));
    if (result < 0) return result;
    return ec_private_key_serialize(private_data, ratchet_identity_key_pair_get_private(identity));
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

static void make_store_context(void) {
    signal_protocol_session_store sessions = {.load_session_func = load_session, .store_session_func = store_session,
                                              .contains_session_func = contains_session};
    signal_protocol_pre_key_store pre_keys = {.load_pre_key = load_pre_key, .contains_pre_key = contains_pre_key,
                                              .remove_pre_key = remove_pre_key};
    signal_protocol_signed_pre_key_store signed_pre_keys = {.load_signed_pre_key = load_signed_pre_key,
                                                            .contains_signed_pre_key = contains_signed_pre_key};
    signal_protocol_identity_key_store identities = {.get_identity_key_pair = identity_pair,
                                                     .get_local_registration_id = registration_id,
                                                     .save_identity = save_identity,
                                                     .is_trusted_identity = trusted_identity};
    check(signal_protocol_store_context_create(&store_context, context) == 0 &&
              signal_protocol_store_context_set_session_store(store_context, &sessions) == 0 &&
              signal_protocol_store_context_set_pre_key_store(store_context, &pre_keys) == 0 &&
              signal_protocol_store_context_set_signed_pre_key_store(store_context, &signed_pre_keys) == 0 &&
              signal_protocol_store_context_set_identity_key_store(store_context, &identities) == 0,
          "store");
}

/* Words. */

static char *words[max_words];
static int word_count;

static void split(char *line) {
    word_count = 0;
    for (char *word = strtok(line, " \n"); word && word_count < max_words; word = strtok(NULL, " \n"))
        words[word_count++] = word;
}

static uint32_t number(int index) { return (uint32_t)strtoul(words[index], NULL, 10); }

static signal_buffer *bytes(int index) {
    size_t size = strlen(words[index]) / 2;
    signal_buffer *buffer = signal_buffer_alloc(size);
    check(buffer != NULL, "memory");
    for (size_t i = 0; i < size; i++) {
        unsigned byte = 0;
        check(sscanf(words[index] + 2 * i, "%2x", &byte) == 1, "hexadecimal");
        signal_buffer_data(buffer)[i] = (uint8_t)byte;
    }
    return buffer;
}

static void put(const uint8_t *data, size_t size) {
    putchar(' ');
    for (size_t i = 0; i < size; i++) printf("%02x", data[i]);
}

static void put_buffer(signal_buffer *buffer) { put(signal_buffer_data(buffer), signal_buffer_len(buffer)); }

static const char *name(int result) {
    switch (result) {
    case SG_ERR_DUPLICATE_MESSAGE: return "duplicate";
    case SG_ERR_INVALID_KEY: return "invalid-key";
    case SG_ERR_INVALID_KEY_ID: return "invalid-key-id";
    case SG_ERR_INVALID_MAC: return "invalid-mac";
    case SG_ERR_INVALID_MESSAGE: return "invalid-message";
    case SG_ERR_INVALID_VERSION: return "invalid-version";
    case SG_ERR_LEGACY_MESSAGE: return "legacy-message";
    case SG_ERR_NO_SESSION: return "no-session";
    case SG_ERR_INVALID_PROTO_BUF: return "invalid-protobuf";
    case SG_ERR_UNTRUSTED_IDENTITY: return "untrusted-identity";
    default: return "unknown";
    }
}

/* Requests: each prints its whole answer and returns 0, or prints nothing and returns what the library did. */

static void put_public(const ec_public_key *key) {
    signal_buffer *data = NULL;
    check((legacy ? ec_public_key_serialize : ec_public_key_serialize_omemo)(&data, key) == 0, "public key");
    put_buffer(data);
    signal_buffer_free(data);
}

static int create(void) {
    session_signed_pre_key *key = NULL;
    check(signal_protocol_key_helper_generate_identity_key_pair(&identity, context) == 0 &&
              signal_protocol_key_helper_generate_signed_pre_key(&key, identity, 1, 0, context) == 0 &&
              session_signed_pre_key_serialize(&signed_pre_key, key) == 0,
          "identity key and signed pre-key");
    SIGNAL_UNREF(key);
    now.next_id = 1;
    for (int i = 0; i < pre_key_count; i++) make_pre_key(i);
    kept = copy_store(&now);
    puts("ok");
    return 0;
}

static void put_signature(const session_signed_pre_key *key) {
    if (legacy) {
        put(session_signed_pre_key_get_signature(key), session_signed_pre_key_get_signature_len(key));
    } else {
        put(session_signed_pre_key_get_signature_omemo(key), session_signed_pre_key_get_signature_omemo_len(key));
    }
}

static int bundle(void) {
    session_signed_pre_key *key = NULL;
    check(session_signed_pre_key_deserialize(&key, signal_buffer_data(signed_pre_key),
                                             signal_buffer_len(signed_pre_key), context) == 0, "signed pre-key");
    printf("ok %u", session_signed_pre_key_get_id(key));
    put_public(ec_key_pair_get_public(session_signed_pre_key_get_key_pair(key)));
    put_signature(key);
    SIGNAL_UNREF(key);
    ec_public_key *public_key = ratchet_identity_key_pair_get_public(identity);
    if (legacy) {
        put_public(public_key);
    } else {
        signal_buffer *edwards = ec_public_key_get_ed(public_key);
        put_buffer(edwards);
        signal_buffer_free(edwards);
    }
    for (int i = 0; i < pre_key_count; i++) {
        session_pre_key *pre_key = NULL;
        signal_buffer *record = now.pre_keys[i].record;
        check(session_pre_key_deserialize(&pre_key, signal_buffer_data(record), signal_buffer_len(record), context)
                  == 0, "pre-key");
        printf(" %u", session_pre_key_get_id(pre_key));
        put_public(ec_key_pair_get_public(session_pre_key_get_key_pair(pre_key)));
        SIGNAL_UNREF(pre_key);
    }
    putchar('\n');
    return 0;
}

static int decode(ec_public_key **key, int index, bool is_identity) {
    signal_buffer *data = bytes(index);
    int result = (legacy ? curve_decode_point : is_identity ? curve_decode_point_ed : curve_decode_point_mont)(
        key, signal_buffer_data(data), signal_buffer_len(data), context);
    signal_buffer_free(data);
    return result;
}

static int process(session_pre_key_bundle *other) {
    session_builder *builder = NULL;
    check(session_builder_create(&builder, store_context, &remote, context) == 0, "builder");
    session_builder_set_version(builder, legacy ? 3 : 4);
    int result = session_builder_process_pre_key_bundle(builder, other);
    session_builder_free(builder);
    return result;
}

static int start(void) {
    ec_public_key *signed_key = NULL, *identity_key = NULL, *pre_key = NULL;
    session_pre_key_bundle *other = NULL;
    signal_buffer *signature = bytes(4);
    int result = decode(&signed_key, 3, false);
    if (result == 0) result = decode(&identity_key, 5, true);
    if (result == 0) result = decode(&pre_key, 7, false);
    if (result == 0)
        result = session_pre_key_bundle_create(&other, number(1), 1, number(6), pre_key, number(2), signed_key,
                                               signal_buffer_data(signature), signal_buffer_len(signature),
                                               identity_key);
    if (result == 0) result = process(other);
    if (result == 0) puts("ok");
    SIGNAL_UNREF(other);
    SIGNAL_UNREF(pre_key);
    SIGNAL_UNREF(identity_key);
    SIGNAL_UNREF(signed_key);
    signal_buffer_free(signature);
    return result;
}

static session_cipher *make_cipher(void) {
    session_cipher *result = NULL;
    check(session_cipher_create(&result, store_context, &remote, context) == 0, "cipher");
    session_cipher_set_version(result, legacy ? 3 : 4);
    return result;
}

static int encrypt(void) {
    if (!now.session) return SG_ERR_NO_SESSION;
    session_cipher *session = make_cipher();
    signal_buffer *secret = bytes(1);
    ciphertext_message *message = NULL;
    int result = session_cipher_encrypt(session, signal_buffer_data(secret), signal_buffer_len(secret), &message);
    if (result == 0) {
        printf("ok %d", ciphertext_message_get_type(message) == CIPHERTEXT_PREKEY_TYPE);
        put_buffer(ciphertext_message_get_serialized(message));
        putchar('\n');
    }
    SIGNAL_UNREF(message);
    signal_buffer_free(secret);
    session_cipher_free(session);
    return result;
}

static int decrypt_exchange(session_cipher *session, const signal_buffer *data, signal_buffer **secret) {
    pre_key_signal_message *message = NULL;
    const uint8_t *bytes = signal_buffer_const_data(data);
    size_t size = signal_buffer_len(data);
    int result = legacy ? pre_key_signal_message_deserialize(&message, bytes, size, context)
                        : pre_key_signal_message_deserialize_omemo(&message, bytes, size, 1, context);
    if (result == 0) result = session_cipher_decrypt_pre_key_signal_message(session, message, NULL, secret);
    SIGNAL_UNREF(message);
    return result;
}

static int decrypt_message(session_cipher *session, const signal_buffer *data, signal_buffer **secret) {
    signal_message *message = NULL;
    const uint8_t *bytes = signal_buffer_const_data(data);
    size_t size = signal_buffer_len(data);
    int result = (legacy ? signal_message_deserialize : signal_message_deserialize_omemo)(&message, bytes, size,
                                                                                          context);
    if (result == 0) result = session_cipher_decrypt_signal_message(session, message, NULL, secret);
    SIGNAL_UNREF(message);
    return result;
}

static int decrypt(void) {
    session_cipher *session = make_cipher();
    signal_buffer *data = bytes(2), *secret = NULL;
    spent = 0;
    int result = (number(1) ? decrypt_exchange : decrypt_message)(session, data, &secret);
    if (result == 0) {
        printf("ok");
        put_buffer(secret);
        printf(" %u\n", spent);
    }
    signal_buffer_free(secret);
    signal_buffer_free(data);
    session_cipher_free(session);
    return result;
}

static int snapshot(void) {
    free_store(&kept);
    kept = copy_store(&now);
    puts("ok");
    return 0;
}

static int restore(void) {
    free_store(&now);
    now = copy_store(&kept);
    puts("ok");
    return 0;
}

static int drop(void) {
    signal_buffer_free(now.session);
    now.session = NULL;
    puts("ok");
    return 0;
}

static const struct { const char *word; int arguments; int (*run)(void); } requests[] = {
    {"create", 0, create},   {"bundle", 0, bundle},   {"start", 7, start}, {"encrypt", 1, encrypt},
    {"decrypt", 2, decrypt}, {"snapshot", 0, snapshot},
    {"restore", 0, restore}, {"drop", 0, drop}};

static void serve(char *line) {
    split(line);
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        if (word_count != requests[i].arguments + 1 || strcmp(words[0], requests[i].word) != 0) continue;
        int result = requests[i].run();
        if (result != 0) printf("error %s\n", name(result));
        fflush(stdout);
        return;
    }
    check(false, "no such request");
}

int main(int argc, char **argv) {
    check(argc == 3, "usage: omemo_c legacy|omemo2 SEED");
    legacy = strcmp(argv[1], "legacy") == 0;
    check(legacy || strcmp(argv[1], "omemo2") == 0, "usage: omemo_c legacy|omemo2 SEED");
    seed = strtoull(argv[2], NULL, 10);
    make_context();
    make_store_context();
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, stdin) > 0) serve(line);
    free(line);
    return 0;
}
