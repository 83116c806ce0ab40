import java.io.ByteArrayInputStream;
import java.io.FileInputStream;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.Security;
import java.security.Signature;
import java.security.cert.CertificateFactory;
import java.security.cert.X509CRL;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import java.util.Date;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.bouncycastle.asn1.ASN1EncodableVector;
import org.bouncycastle.asn1.ASN1Integer;
import org.bouncycastle.asn1.ASN1OctetString;
import org.bouncycastle.asn1.ASN1Sequence;
import org.bouncycastle.asn1.DEROctetString;
import org.bouncycastle.asn1.DERSequence;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.CRLReason;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.KeyUsage;
import org.bouncycastle.cert.X509v2CRLBuilder;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.crypto.engines.SM2Engine;
import org.bouncycastle.crypto.params.ECPrivateKeyParameters;
import org.bouncycastle.crypto.params.ECPublicKeyParameters;
import org.bouncycastle.crypto.params.ParametersWithRandom;
import org.bouncycastle.jcajce.provider.asymmetric.util.ECUtil;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.jce.spec.ECNamedCurveGenParameterSpec;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaContentVerifierProviderBuilder;
import org.bouncycastle.pkcs.PKCS10CertificationRequest;
import org.bouncycastle.pkcs.jcajce.JcaPKCS10CertificationRequestBuilder;

/**
 * The stranger of the tests: BouncyCastle reads what the gateway wrote into a folder, and writes what the gateway is to
 * read. "make DIR" comes first, "read DIR" after the gateway has answered.
 */
public final class Interop {
  private static final byte[] MESSAGE = "signed by a stranger".getBytes();

  private final Path dir;

  private Interop(String dir) {
    this.dir = Path.of(dir);
  }

  public static void main(String[] args) throws Exception {
    Security.addProvider(new BouncyCastleProvider());
    Interop interop = new Interop(args[1]);
    if (args[0].equals("make")) {
      interop.make();
    } else {
      interop.read();
    }
    System.out.println("done");
  }

  private byte[] load(String name) throws Exception {
    return Files.readAllBytes(dir.resolve(name));
  }

  private void save(String name, byte[] content) throws Exception {
    Files.write(dir.resolve(name), content);
  }

  private static void require(boolean holds, String what) {
    if (!holds) {
      throw new IllegalStateException("not so: " + what);
    }
  }

  private static KeyPair newKey() throws Exception {
    KeyPairGenerator g = KeyPairGenerator.getInstance("EC", "BC");
    g.initialize(new ECNamedCurveGenParameterSpec("sm2p256v1"));
    return g.generateKeyPair();
  }

  private static ContentSigner signer(PrivateKey key) throws Exception {
    return new JcaContentSignerBuilder("SM3withSM2").setProvider("BC").build(key);
  }

  private void make() throws Exception {
    KeyPair root = newKey();
    KeyPair sign = newKey();
    KeyPair seal = newKey();
    X500Name rootName = new X500Name("C=CN,CN=Stranger Root");
    X500Name name = new X500Name("C=CN,O=stranger,CN=110000");
    KeyUsage authority = new KeyUsage(KeyUsage.keyCertSign | KeyUsage.cRLSign);
    save("bc-root.der", issue(rootName, root, BigInteger.ONE, rootName, root.getPublic(), authority, true));
    KeyUsage signing = new KeyUsage(KeyUsage.digitalSignature | KeyUsage.nonRepudiation);
    save("bc-sign.der", issue(rootName, root, BigInteger.valueOf(2), name, sign.getPublic(), signing, false));
    KeyUsage sealing = new KeyUsage(KeyUsage.keyEncipherment | KeyUsage.dataEncipherment);
    save("bc-seal.der", issue(rootName, root, BigInteger.valueOf(3), name, seal.getPublic(), sealing, false));
    long now = System.currentTimeMillis();
    X509v2CRLBuilder list = new X509v2CRLBuilder(rootName, new Date(now - 60_000));
    list.setNextUpdate(new Date(now + 86_400_000));
    list.addExtension(Extension.cRLNumber, false, new ASN1Integer(9));
    list.addCRLEntry(BigInteger.valueOf(2), new Date(now - 60_000), CRLReason.keyCompromise);
    save("bc-list.der", list.build(signer(root.getPrivate())).getEncoded());
    save("bc-request.der",
        new JcaPKCS10CertificationRequestBuilder(name, sign.getPublic()).build(signer(sign.getPrivate())).getEncoded());
    Signature s = Signature.getInstance("SM3withSM2", "BC");
    s.initSign(sign.getPrivate());
    s.update(MESSAGE);
    save("bc-signature", s.sign());
    save("bc-seal.key", seal.getPrivate().getEncoded());
  }

  private static byte[] issue(X500Name issuer, KeyPair by, BigInteger serial, X500Name subject, PublicKey key,
      KeyUsage usage, boolean ca) throws Exception {
    long now = System.currentTimeMillis();
    JcaX509v3CertificateBuilder b = new JcaX509v3CertificateBuilder(issuer, serial, new Date(now - 3_600_000L),
        new Date(now + 365L * 86_400_000L), subject, key);
    b.addExtension(Extension.basicConstraints, true, ca ? new BasicConstraints(0) : new BasicConstraints(false));
    b.addExtension(Extension.keyUsage, true, usage);
    JcaX509ExtensionUtils ids = new JcaX509ExtensionUtils();
    b.addExtension(Extension.subjectKeyIdentifier, false, ids.createSubjectKeyIdentifier(key));
    b.addExtension(Extension.authorityKeyIdentifier, false, ids.createAuthorityKeyIdentifier(by.getPublic()));
    return b.build(signer(by.getPrivate())).getEncoded();
  }

  private X509Certificate certificate(String name) throws Exception {
    CertificateFactory f = CertificateFactory.getInstance("X.509", "BC");
    return (X509Certificate) f.generateCertificate(new FileInputStream(dir.resolve(name).toFile()));
  }

  private void read() throws Exception {
    X509Certificate root = certificate("root.der");
    X509Certificate middle = certificate("middle.der");
    X509Certificate sign = certificate("sign.der");
    X509Certificate seal = certificate("seal.der");
    root.verify(root.getPublicKey(), "BC");
    middle.verify(root.getPublicKey(), "BC");
    sign.verify(middle.getPublicKey(), "BC");
    seal.verify(middle.getPublicKey(), "BC");
    require(sign.getKeyUsage()[0] && sign.getKeyUsage()[1] && !sign.getKeyUsage()[2], "usages of the signing one");
    require(seal.getKeyUsage()[2] && !seal.getKeyUsage()[0], "usages of the encryption one");
    require(middle.getBasicConstraints() == 0 && sign.getBasicConstraints() == -1, "basic constraints");
    PKCS10CertificationRequest request = new PKCS10CertificationRequest(load("request.der"));
    require(request.isSignatureValid(new JcaContentVerifierProviderBuilder().setProvider("BC").build(sign.getPublicKey())),
        "the request is signed");
    X509CRL list = (X509CRL) CertificateFactory.getInstance("X.509", "BC")
        .generateCRL(new ByteArrayInputStream(load("list.der")));
    list.verify(middle.getPublicKey(), "BC");
    require(list.isRevoked(sign) && !list.isRevoked(seal), "revoked is the signing one");
    Signature s = Signature.getInstance("SM3withSM2", "BC");
    s.initVerify(sign.getPublicKey());
    s.update(load("message"));
    require(s.verify(load("signature")), "the signature");
    s.initVerify(seal.getPublicKey());
    s.update(load("message"));
    require(!s.verify(load("signature")), "the signature is of no other key");

    byte[] key = unwrap(load("bc-seal.key"), load("wrapped"));
    Cipher gcm = Cipher.getInstance("SM4/GCM/NoPadding", "BC");
    gcm.init(Cipher.DECRYPT_MODE, new SecretKeySpec(key, "SM4"), new GCMParameterSpec(128, new byte[12]));
    gcm.updateAAD(load("additional"));
    byte[] content = gcm.doFinal(load("sealed"));
    save("bc-wrapped", wrap(seal.getPublicKey(), key));
    byte[] nonce = new byte[12];
    nonce[11] = 1;
    gcm.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(key, "SM4"), new GCMParameterSpec(128, nonce));
    gcm.updateAAD(load("additional"));
    save("bc-sealed", gcm.doFinal(content));
  }

  /** SM2 ciphertext of GB/T 35276: SEQUENCE { x, y, C3, C2 }. BouncyCastle's own form is 04 x y C3 C2. */
  private static byte[] wrap(PublicKey to, byte[] secret) throws Exception {
    SM2Engine e = new SM2Engine(SM2Engine.Mode.C1C3C2);
    ECPublicKeyParameters p = (ECPublicKeyParameters) ECUtil.generatePublicKeyParameter(to);
    e.init(true, new ParametersWithRandom(p, new SecureRandom()));
    byte[] raw = e.processBlock(secret, 0, secret.length);
    ASN1EncodableVector v = new ASN1EncodableVector();
    v.add(new ASN1Integer(new BigInteger(1, Arrays.copyOfRange(raw, 1, 33))));
    v.add(new ASN1Integer(new BigInteger(1, Arrays.copyOfRange(raw, 33, 65))));
    v.add(new DEROctetString(Arrays.copyOfRange(raw, 65, 97)));
    v.add(new DEROctetString(Arrays.copyOfRange(raw, 97, raw.length)));
    return new DERSequence(v).getEncoded();
  }

  private static byte[] unwrap(byte[] pkcs8, byte[] wrapped) throws Exception {
    PrivateKey key = java.security.KeyFactory.getInstance("EC", "BC")
        .generatePrivate(new java.security.spec.PKCS8EncodedKeySpec(pkcs8));
    ASN1Sequence v = ASN1Sequence.getInstance(wrapped);
    byte[] c3 = ASN1OctetString.getInstance(v.getObjectAt(2)).getOctets();
    byte[] c2 = ASN1OctetString.getInstance(v.getObjectAt(3)).getOctets();
    byte[] raw = new byte[65 + c3.length + c2.length];
    raw[0] = 4;
    coordinate(v, 0, raw, 1);
    coordinate(v, 1, raw, 33);
    System.arraycopy(c3, 0, raw, 65, c3.length);
    System.arraycopy(c2, 0, raw, 65 + c3.length, c2.length);
    SM2Engine e = new SM2Engine(SM2Engine.Mode.C1C3C2);
    e.init(false, (ECPrivateKeyParameters) ECUtil.generatePrivateKeyParameter(key));
    return e.processBlock(raw, 0, raw.length);
  }

  private static void coordinate(ASN1Sequence v, int at, byte[] raw, int offset) {
    byte[] b = org.bouncycastle.util.BigIntegers.asUnsignedByteArray(32,
        ASN1Integer.getInstance(v.getObjectAt(at)).getPositiveValue());
    System.arraycopy(b, 0, raw, offset, 32);
  }
}
