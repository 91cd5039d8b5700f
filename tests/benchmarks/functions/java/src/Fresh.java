import java.util.Map;

/** Says how often this execution environment has run: 1 proves a cold start. */
public class Fresh {
    private static int runs;

    public Map<String, Object> handle(Map<String, Object> event) {
        runs++;
        return Map.of("runs", runs);
    }
}
