package lightswitch;

import com.amazonaws.services.lambda.runtime.api.client.runtimeapi.JniHelper;
import com.amazonaws.services.lambda.runtime.serialization.PojoSerializer;
import com.amazonaws.services.lambda.runtime.serialization.factories.JacksonFactory;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** What of the client can be loaded and warmed up while its function is not known: nothing that reads variables. */
final class Preparation {
    private static final String EVENT = "{\"text\": \"x\", \"list\": [1, 2.5, true, null], \"map\": {\"a\": \"b\"}}";

    private Preparation() {}

    static void run(String classes) throws IOException {
        for (String name : Files.readAllLines(Path.of(classes))) {
            load(name);
        }
        JniHelper.load();
        readAndWrite();
    }

    private static void load(String name) {
        try {
            Class.forName(name, false, ClassLoader.getSystemClassLoader());
        } catch (ClassNotFoundException | LinkageError error) {
            // Made at run time where the list was written; it is only loaded later.
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
