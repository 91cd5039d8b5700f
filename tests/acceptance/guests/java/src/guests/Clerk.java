package guests;

import com.amazonaws.services.lambda.runtime.Context;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.Charset;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Methods of a class that implements nothing; types of its own in and out. */
public class Clerk {
    private int served;

    public static class Customer {
        private String name;
        private List<Integer> numbers;

        public String getName() {
            return name;
        }

        public void setName(String name) {
            this.name = name;
        }

        public List<Integer> getNumbers() {
            return numbers;
        }

        public void setNumbers(List<Integer> numbers) {
            this.numbers = numbers;
        }
    }

    public record Receipt(String text, int total, int served) {
        public String getText() {
            return text;
        }

        public int getTotal() {
            return total;
        }

        public int getServed() {
            return served;
        }
    }

    public Receipt serve(Customer customer) {
        served++;
        int total = customer.getNumbers().stream().mapToInt(Integer::intValue).sum();
        return new Receipt("for " + customer.getName(), total, served);
    }

    public Map<String, Object> describe(Map<String, Object> wanted, Context context) throws Exception {
        context.getLogger().log("described " + context.getAwsRequestId() + "\n");
        Map<String, Object> answer = new TreeMap<>();
        answer.put("name", context.getFunctionName());
        answer.put("version", context.getFunctionVersion());
        answer.put("arn", context.getInvokedFunctionArn());
        answer.put("memory", context.getMemoryLimitInMB());
        answer.put("request", context.getAwsRequestId());
        answer.put("remaining", context.getRemainingTimeInMillis());
        answer.put("greeting", System.getenv("GREETING"));
        answer.put("property", System.getProperty("greeting"));
        answer.put("heap", Runtime.getRuntime().maxMemory() >> 20);
        answer.put("java", Runtime.version().feature());
        answer.put("directory", System.getProperty("user.dir"));
        answer.put("child", heard("sh", "-c", "echo $GREETING; pwd").split("\n"));
        answer.put("note", new File("note.txt").exists() ? read("note.txt") : null);
        answer.put("encoding", Charset.defaultCharset().name());
        answer.put("command", System.getProperty("sun.java.command"));
        return answer;
    }

    public String layered() throws Exception {
        Class<?> type = Class.forName("guests.shared.Library", true, Thread.currentThread().getContextClassLoader());
        return (String) type.getMethod("version").invoke(null);
    }

    public void fail() {
        throw new IllegalArgumentException("failed on purpose");
    }

    public void exit() {
        System.exit(3);
    }

    public void sleep() throws InterruptedException {
        Thread.sleep(60_000);
    }

    public int fill() {
        List<byte[]> kept = new java.util.ArrayList<>();
        while (true) {
            kept.add(new byte[1 << 20]);
        }
    }

    private static String read(String path) throws IOException {
        try (InputStream input = new FileInputStream(path)) {
            return new String(input.readAllBytes(), Charset.defaultCharset());
        }
    }

    private static String heard(String... command) throws Exception {
        Process process = new ProcessBuilder(command).start();
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        process.getInputStream().transferTo(said);
        process.waitFor();
        return said.toString().trim();
    }
}
