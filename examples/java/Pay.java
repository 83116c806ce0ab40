import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.Security;
import java.security.Signature;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoUnit;
import java.util.Base64;
import java.util.HexFormat;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.bouncycastle.jcajce.spec.SM2ParameterSpec;
import org.bouncycastle.jce.interfaces.ECPublicKey;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.jce.spec.ECNamedCurveGenParameterSpec;

/**
 * A platform that signs its requests to the gateway with SM2, and makes a payment. README.md says how to run it.
 *
 * <pre>
 *   Pay key FILE                            make a key pair; prints the public key, which the region registers
 *   Pay pay GATEWAY KEY_ID FILE BILL.json   ask for a quote, hold, and confirm
 * </pre>
 */
public final class Pay {
  /** The SM2 user id of GB/T 35276, which the gateway expects. */
  private static final byte[] USER_ID = "1234567812345678".getBytes(StandardCharsets.US_ASCII);

  private static final String PEM_BEGIN = "-----BEGIN PRIVATE KEY-----";
  private static final String PEM_END = "-----END PRIVATE KEY-----";

  private final HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10)).build();
  private final String gateway;
  private final String keyId;
  private final PrivateKey key;

  private Pay(String gateway, String keyId, PrivateKey key) {
    this.gateway = gateway;
    this.keyId = keyId;
    this.key = key;
  }

  public static void main(String[] args) throws Exception {
    Security.addProvider(new BouncyCastleProvider());
    if (args.length == 2 && args[0].equals("key")) {
      makeKey(Path.of(args[1]));
    } else if (args.length == 5 && args[0].equals("pay")) {
      new Pay(args[1], args[2], readKey(Path.of(args[3]))).pay(Files.readString(Path.of(args[4])).strip());
    } else {
      System.err.println("usage: Pay key FILE | Pay pay GATEWAY KEY_ID FILE BILL.json");
      System.exit(2);
    }
  }

  // --- the signature of a request ------------------------------------------------------------------------------------

  /**
   * Sends one signed request. What is signed are the UTF-8 bytes of: method, path with query, time, nonce and the
   * lower-case hex SM3 of the body, each followed by a line feed. A nonce is used once, also when a request is repeated.
   */
  private String call(String method, String pathAndQuery, String body)
      throws GeneralSecurityException, IOException, InterruptedException {
    byte[] content = body.getBytes(StandardCharsets.UTF_8);
    String time = OffsetDateTime.now(ZoneOffset.ofHours(8)).truncatedTo(ChronoUnit.SECONDS)
        .format(DateTimeFormatter.ISO_OFFSET_DATE_TIME);
    String nonce = UUID.randomUUID().toString();
    String digest = HexFormat.of().formatHex(MessageDigest.getInstance("SM3", "BC").digest(content));
    String message = String.join("\n", method, pathAndQuery, time, nonce, digest) + "\n";

    HttpRequest request = HttpRequest.newBuilder(URI.create(gateway + pathAndQuery))
        .timeout(Duration.ofSeconds(60))
        .header("Content-Type", "application/json")
        .header("Gongji-Key", keyId)
        .header("Gongji-Time", time)
        .header("Gongji-Nonce", nonce)
        .header("Gongji-Signature", sign(message))
        .method(method, HttpRequest.BodyPublishers.ofByteArray(content))
        .build();
    HttpResponse<String> answer = http.send(request, HttpResponse.BodyHandlers.ofString(StandardCharsets.UTF_8));
    if (answer.statusCode() >= 300) {
      // An RFC 9457 problem document. "outcome" says whether anything was done; "unknown" means: repeat the same request.
      throw new IOException(method + " " + pathAndQuery + ": " + answer.statusCode() + " " + answer.body());
    }
    return answer.body();
  }

  /** Base64 of the DER SM2 signature over SM3, with the user id. */
  private String sign(String message) throws GeneralSecurityException {
    Signature s = Signature.getInstance("SM3withSM2", "BC");
    s.setParameter(new SM2ParameterSpec(USER_ID));
    s.initSign(key);
    s.update(message.getBytes(StandardCharsets.UTF_8));
    return Base64.getEncoder().encodeToString(s.sign());
  }

  // --- a payment -----------------------------------------------------------------------------------------------------

  private void pay(String bill) throws GeneralSecurityException, IOException, InterruptedException {
    String quote = call("POST", "/v1/quotes", bill);
    System.out.println("quote: " + field(quote, "status"));

    String payment = call("POST", "/v1/payments", bill);
    String id = field(payment, "payment_id");
    System.out.println("payment " + id + ": " + field(payment, "status"));
    if (!field(payment, "status").equals("held")) {
      throw new IOException("nothing is held: " + payment);
    }

    // The citizen agrees: what is held is captured. The gateway waits up to ten seconds for the payers' regions.
    String confirmation = "{\"request_id\":\"" + UUID.randomUUID() + "\"}";
    String confirmed = call("POST", "/v1/payments/" + id + "/confirm?wait=10", confirmation);
    System.out.println("payment " + id + ": " + field(confirmed, "status"));
    System.out.println("payment " + id + ": " + field(call("GET", "/v1/payments/" + id, ""), "captured") + " yuan");
  }

  /** The first string of that name. A real platform uses a JSON library. */
  private static String field(String json, String name) throws IOException {
    Matcher m = Pattern.compile("\"" + name + "\":\"([^\"]*)\"").matcher(json);
    if (!m.find()) {
      throw new IOException("the answer has no " + name + ": " + json);
    }
    return m.group(1);
  }

  // --- the platform's key --------------------------------------------------------------------------------------------

  /** Makes a key pair. In production the private key belongs into a cryptographic device, not into a file. */
  private static void makeKey(Path file) throws GeneralSecurityException, IOException {
    KeyPairGenerator generator = KeyPairGenerator.getInstance("EC", "BC");
    generator.initialize(new ECNamedCurveGenParameterSpec("sm2p256v1"));
    KeyPair pair = generator.generateKeyPair();
    Files.createFile(file, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
    Files.writeString(file, PEM_BEGIN + "\n" + Base64.getMimeEncoder(64, new byte[] {'\n'})
        .encodeToString(pair.getPrivate().getEncoded()) + "\n" + PEM_END + "\n");
    byte[] point = ((ECPublicKey) pair.getPublic()).getQ().getEncoded(false); // 04, x, y
    System.out.println(Base64.getEncoder().encodeToString(point));
  }

  private static PrivateKey readKey(Path file) throws GeneralSecurityException, IOException {
    String text = Files.readString(file).replace(PEM_BEGIN, "").replace(PEM_END, "").replaceAll("\\s", "");
    return KeyFactory.getInstance("EC", "BC").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(text)));
  }
}
