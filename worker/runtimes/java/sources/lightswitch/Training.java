package lightswitch;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.Map;

/** The function that AWS's client runs while its classes are put into an archive: it answers, fails, and ends. */
public final class Training implements RequestHandler<Map<String, Object>, Map<String, Object>> {
    @Override
    public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
        Object wish = event.get("wish");
        if ("fail".equals(wish)) {
            throw new IllegalStateException("asked for");
        }
        if ("end".equals(wish)) {
            System.exit(0);
        }
        context.getLogger().log(context.getAwsRequestId() + " " + context.getRemainingTimeInMillis());
        return event;
    }
}
