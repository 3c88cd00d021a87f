"""From definitions to messages: audience, schedule, forecast, approval, plan."""
