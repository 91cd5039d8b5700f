package greeter;

import java.util.Map;
import java.util.function.Function;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;

/** A Spring Cloud Function; nothing in it knows of Lambda. */
@SpringBootApplication
public class Greeter {
    public static void main(String[] arguments) {
        SpringApplication.run(Greeter.class, arguments);
    }

    @Bean
    public Function<Map<String, String>, Map<String, String>> greet() {
        return person -> Map.of("greeting", "hello " + person.get("name"));
    }
}
