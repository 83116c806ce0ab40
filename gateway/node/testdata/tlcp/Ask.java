import java.io.FileInputStream;
import java.io.InputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;
import org.openeuler.BGMProvider;

/** A platform that speaks TLCP by the library of openEuler: it sends one request as it stands and prints the answer. */
public final class Ask {
    private static final char[] PASSWORD = "password".toCharArray();

    public static void main(String[] args) throws Exception {
        Security.insertProviderAt(new BGMProvider(), 1);
        Path dir = Path.of(args[1]);
        KeyStore own = KeyStore.getInstance("PKCS12");
        own.load(null, null);
        for (String name : new String[] {"sign", "seal"}) {
            own.setKeyEntry(name, key(dir.resolve(name + ".key")), PASSWORD,
                    new Certificate[] {certificate(dir.resolve(name + ".crt"))});
        }
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        trusted.setCertificateEntry("ca", certificate(dir.resolve("ca.crt")));
        KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
        keys.init(own, PASSWORD);
        TrustManagerFactory trust = TrustManagerFactory.getInstance("SunX509");
        trust.init(trusted);
        SSLContext context = SSLContext.getInstance("GMTLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);

        String[] address = args[0].split(":");
        int port = Integer.parseInt(address[1]);
        try (SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(address[0], port)) {
            socket.setEnabledProtocols(new String[] {"GMTLS"});
            socket.setEnabledCipherSuites(new String[] {args[2]});
            socket.setSoTimeout(20_000);
            socket.startHandshake();
            System.out.println(socket.getSession().getProtocol() + " " + socket.getSession().getCipherSuite());
            socket.getOutputStream().write(Files.readAllBytes(dir.resolve("request")));
            socket.getOutputStream().flush();
            System.out.println(new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8));
        }
    }

    private static Certificate certificate(Path path) throws Exception {
        try (InputStream in = new FileInputStream(path.toFile())) {
            return CertificateFactory.getInstance("X.509").generateCertificate(in);
        }
    }

    private static PrivateKey key(Path path) throws Exception {
        String text = Files.readString(path).replaceAll("-----[A-Z ]+-----", "").replaceAll("\\s", "");
        return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(text)));
    }
}
