package lightswitch;

import com.amazonaws.services.lambda.runtime.api.client.runtimeapi.JniHelper;
import com.amazonaws.services.lambda.runtime.serialization.PojoSerializer;
import com.amazonaws.services.lambda.runtime.serialization.factories.JacksonFactory;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Security;
import java.util.Map;

/** What of the client can be loaded and warmed up while its function is not known: nothing that reads variables. */
final class Preparation {
    private static final String EVENT = "{\"text\": \"x\", \"list\": [1, 2.5, true, null], \"map\": {\"a\": \"b\"}}";

    private Preparation() {}

    static void run(Path classes, Path training) throws IOException {
        for (String name : Files.readAllLines(classes)) {
            load(name, ClassLoader.getSystemClassLoader());
        }
        JniHelper.load();
        readAndWrite();
        setSecurityProperty("networkaddress.cache.negative.ttl");
        URL[] places = {training.toUri().toURL()};
        try (URLClassLoader loader = new URLClassLoader(places, ClassLoader.getSystemClassLoader())) {
            load("lightswitch.Training", loader);
        }
    }

    private static void load(String name, ClassLoader loader) {
        try {
            Class.forName(name, false, loader);
        } catch (ClassNotFoundException | LinkageError error) {
            // Made at run time where the list was written; it is only loaded later.
        }
    }

    /** To what it is: the client will set it, and the first such change searches for somebody who logs it. */
    private static void setSecurityProperty(String name) {
        String value = Security.getProperty(name);
        if (value != null) {
            Security.setProperty(name, value);
        }
    }

    private static void readAndWrite() {
        PojoSerializer<Map> serializer = JacksonFactory.getInstance().getSerializer(Map.class);
        for (int round = 0; round < 3; round++) {
            byte[] event = EVENT.getBytes(StandardCharsets.UTF_8);
            Map read = serializer.fromJson(new ByteArrayInputStream(event));
            serializer.toJson(read, new ByteArrayOutputStream());
        }
    }
}
